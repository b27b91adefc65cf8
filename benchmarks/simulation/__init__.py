"""A storage service that exists in made-up time only: for what no machine at hand could hold."""
