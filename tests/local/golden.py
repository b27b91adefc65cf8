"""Asks a fresh platform everything in `exchanges` and pins what it says, less what changes from run to run.

``PYTHONPATH=tests python -m local.golden`` writes the files again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from local.exchanges import STEPS, UNKNOWN, Step
from local.rest import Answer, Rest, s3, send

FOLDER = Path(__file__).parents[1] / "golden" / "platform"
_KEPT_HEADERS = ("Content-Type", "Allow")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SECRETS = {
    "access_key_id": "ACCESSKEYID",
    "secret_access_key": "SECRETACCESSKEY",
    "session_token": "SESSION-TOKEN",
    "expiration": "2126-01-02T03:04:05+00:00",
    "created_at": "2026-01-02T03:04:05.678901+00:00",
}


def record(platform: RunningPlatform) -> dict[str, tuple[Answer, dict[str, Any]]]:
    """Return, for each step, the answer and the exchange as it is pinned."""
    tokens = {"TOKEN": platform.token, "READONLY-TOKEN": platform.readonly_token}
    kept: dict[str, str] = {}
    normalised = _normaliser(platform)
    done = {}
    for step in STEPS:
        if step.fill:
            with s3(Rest.user(platform).temporary({"id": kept[step.fill]})) as client:
                client.put_object(Bucket=_real_name(platform, kept[step.fill]), Key="blob", Body=b"content")
        path = _filled(step.path, kept)
        text = _filled(step.text if step.text is not None else json.dumps(step.body), kept)
        has_body = step.text is not None or step.body is not None
        headers = dict(step.headers or {})
        sent = {"Authorization": f"Bearer {tokens.get(step.token, step.token)}"} if step.token else {}
        answer = send(
            step.method,
            f"{platform.api_url}/{path}",
            headers={**headers, **sent},
            content=text.encode() if has_body else None,
        )
        if step.keep:
            kept[step.keep] = answer.body["id"]
        done[step.name] = (answer, normalised(_exchange(step, path, text if has_body else None, answer)))
    return done


def _filled(template: str, kept: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], found[0]), template)


def _real_name(platform: RunningPlatform, bucket_id: str) -> str:
    return str(Rest.user(platform).temporary({"id": bucket_id})["bucket_name"])


def _exchange(step: Step, path: str, text: str | None, answer: Answer) -> dict[str, Any]:
    request: dict[str, Any] = {"method": step.method, "path": path, "headers": dict(step.headers or {})}
    if step.token:
        request["headers"]["Authorization"] = f"Bearer {step.token}"
    if step.text is not None:
        request["text"] = text
    elif text is not None:
        request["body"] = json.loads(text)
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    return {"request": request, "status": answer.status, "headers": headers, "body": answer.body}


def _normaliser(platform: RunningPlatform) -> Callable[[Any], Any]:
    """Return what replaces ids by their order of appearance; secrets, addresses and times by fixed ones."""
    ids: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        if found[0] == UNKNOWN:
            return UNKNOWN
        return ids.setdefault(found[0], f"{found[1]}00000000-0000-4000-8000-{len(ids) + 1:012}")

    rules: list[tuple[str, Any]] = [
        (rf"(bucket-(?:credentials-)?){_UUID}", numbered),
        (re.escape(platform.api_url), "http://platform.example/api/v1"),
        (r"http://127\.0\.0\.1:\d+", "http://storage.example"),
        (r"neuro-pl-[0-9a-f]{10}-(neuro-demo(?:-[a-z-]+)?)-[0-9a-f]{12}", r"neuro-pl-0123456789-\1-0123456789ab"),
        (r"(X-Amz-Credential=)[^%]+%2F\d{8}", r"\1ACCESSKEYID%2F20260102"),
        (r"(X-Amz-Date=)\w+", r"\g<1>20260102T030405Z"),
        (r"(X-Amz-Signature=)\w+", r"\1SIGNATURE"),
        # botocore has them in another order where awscrt is installed.
        (r"(?<=\?)X-Amz-[^\s\"]+", lambda found: "&".join(sorted(found[0].split("&")))),
    ]

    def normalised(value: Any, field: str = "") -> Any:
        if isinstance(value, dict):
            return {name: normalised(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [normalised(item) for item in value]
        if not isinstance(value, str):
            return value
        if field in _SECRETS:
            return _SECRETS[field]
        for name, word in _SECRETS.items():  # in a body of lines
            value = re.sub(rf'("{name}": )"[^"]*"', rf'\1"{word}"', value)
        for pattern, replacement in rules:
            value = re.sub(pattern, replacement, value)
        return value

    return normalised


def text_of(answer: Answer) -> str:
    """Return the body as text, JSON as Python writes it."""
    return answer.body if isinstance(answer.body, str) else json.dumps(answer.body)


def pinned() -> dict[str, Any]:
    """Return the exchanges on disk."""
    return {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}


def main() -> None:
    """Write every exchange anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with local_platform() as platform:
        exchanges = record(platform)
    for file in list(FOLDER.glob("*.json")):
        file.unlink()
    for name, (_, exchange) in exchanges.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(exchange, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
