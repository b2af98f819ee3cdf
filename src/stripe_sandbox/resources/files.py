"""Files, their contents, and the links that show them to anyone."""

import mimetypes
import secrets
from base64 import b64decode, b64encode
from pathlib import PurePath

from stripe_sandbox.contract.errors import invalid, no_such
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.registry import Download, Resource
from stripe_sandbox.engine.work import Work

files = Resource("file", id_prefix="file", param="file")
file_links = Resource("file_link", id_prefix="link", label="file link", param="link")


def store(work: Work, content: bytes, *, filename: str, purpose: str) -> Body:
    body = work.create("file", filename=filename, purpose=purpose, size=len(content))
    url = f"{work.config.base_url}/v1/files/{body['id']}/contents"
    work.change(body, type=PurePath(filename).suffix[1:].lower() or None, url=url)
    work.remember(body["id"], content=b64encode(content).decode())
    return body


@files.beside_contract("get", "/v1/files/{file}/contents")
def download(work: Work, file: str) -> Download:
    body = work.find("file", file)
    media_type, _ = mimetypes.guess_type(body["filename"])
    content = b64decode(work.note(file)["content"])
    return Download(content, media_type or "application/octet-stream")


@files.on("post", "/v1/files", takes="file purpose")
def create(work: Work, params: Body) -> Body:
    upload = params["file"]
    if not isinstance(upload, dict) or upload.keys() != {"filename", "content"}:
        raise invalid("Invalid file: it is sent as multipart/form-data.", param="file")
    content, name = b64decode(upload["content"]), upload["filename"]
    body = store(work, content, filename=name, purpose=params["purpose"])
    work.emit("file.created", body)
    return body


@file_links.on("post", "/v1/file_links", takes="file metadata")
def create_link(work: Work, params: Body) -> Body:
    work.find("file", params["file"])
    url = f"{work.config.base_url}/links/{secrets.token_urlsafe(24)}"
    return work.create("file_link", url=url, **given(params, "file metadata"))


def open_link(work: Work, key: str) -> Download:
    """What the address of a link shows, to anyone who knows it."""
    link = next(work.every("file_link", url=f"{work.config.base_url}/links/{key}"), None)
    if link is None:
        raise no_such("file link", key, param="link")
    return download(work, link["file"])
