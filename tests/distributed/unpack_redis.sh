#!/bin/sh
# Makes a redis-server of Debian's packages without installing any and without root: unpack_redis.sh FOLDER PROGRAM
set -eu
folder=$1 program=$2
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
apt() {
    apt-get -qq -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User="$(id -un)" "$@"
}
{
    apt update &&
        apt --yes --no-install-recommends --download-only install redis-server &&
        for package in "$folder"/cache/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
} || {
    echo "There is no redis-server, and its package cannot be had here: install Debian's package redis-server" >&2
    exit 1
}
libraries=$(dirname "$(find "$folder/root/usr/lib" -name 'liblzf.so*' | head -1)")
printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s/root/usr/bin/redis-server" "$@"\n' "$libraries" "$folder" >"$program"
chmod +x "$program"
"$program" --version
