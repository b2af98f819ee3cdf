"""Files, their contents, and the links that show them to anyone."""

import secrets
from base64 import b64decode, b64encode
from pathlib import PurePath

from stripe_sandbox.contract.errors import invalid, no_such
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Download, Resource
from stripe_sandbox.engine.work import Work

files = Resource("file", id_prefix="file", param="file")
file_links = Resource("file_link", id_prefix="link", label="file link", param="link")

# What Stripe shows to people without a key.
_LINKABLE = (
    "business_icon",
    "business_logo",
    "customer_signature",
    "dispute_evidence",
    "finance_report_run",
    "issuing_regulatory_reporting",
    "pci_document",
    "tax_document_user_upload",
)
_MEDIA_TYPES = {
    "csv": "text/csv",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "pdf": "application/pdf",
    "png": "image/png",
}
_LARGEST = 5 * 2**20


def store(work: Work, content: bytes, *, filename: str, purpose: str, title: str = "") -> Body:
    id = work.new_id("file")
    body = work.create(
        "file",
        id=id,
        filename=filename,
        purpose=purpose,
        size=len(content),
        title=title or None,
        type=PurePath(filename).suffix.removeprefix(".").lower() or None,
        url=f"{work.config.base_url}/v1/files/{id}/contents",
    )
    work.remember(id, content=b64encode(content).decode())
    return body


def download(work: Work, file: str) -> Download:
    body = work.find("file", file)
    media_type = _MEDIA_TYPES.get(body["type"] or "", "application/octet-stream")
    return Download(b64decode(work.note(file)["content"]), media_type)


files.beside_contract("get", "/v1/files/{file}/contents")(download)


@files.on("post", "/v1/files", takes="file file_link_data purpose")
def create(work: Work, params: Body) -> Body:
    upload = params["file"]
    if not isinstance(upload, dict) or upload.keys() != {"filename", "content"}:
        raise invalid("Invalid file: it is sent as multipart/form-data.", param="file")
    content = b64decode(upload["content"])
    if len(content) > _LARGEST:
        raise invalid(f"The file is larger than {_LARGEST} bytes.", param="file")
    body = store(work, content, filename=upload["filename"], purpose=params["purpose"])
    link = params.get("file_link_data", {})
    if link.get("create"):
        _link(work, body, link)
    work.emit("file.created", body)
    return body


@files.includes("links")
def links_of(work: Work, file: Body) -> Body:
    links = work.every("file_link", file=file["id"])
    return page(links, "file link", {}, url=f"/v1/file_links?file={file['id']}")


@file_links.on("post", "/v1/file_links", takes="expires_at file metadata")
def create_link(work: Work, params: Body) -> Body:
    return _link(work, work.find("file", params["file"], param="file"), params)


@file_links.on("post", "/v1/file_links/{link}", takes="expires_at metadata")
def update_link(work: Work, params: Body, link: str) -> Body:
    body = work.find("file_link", link)
    if params.get("expires_at") == "now":
        params["expires_at"] = work.now
    work.change(body, **changes(body, params, "expires_at metadata"))
    _expire_in_time(work, body)
    return body


@file_links.job("file_link.expire")
def expire(work: Work, subject: str) -> None:
    work.change(work.find("file_link", subject), expired=True, url=None)


def open_link(work: Work, key: str) -> Download:
    """What the address of a link shows, to anyone who knows it."""
    link = next(work.every("file_link", url=f"{work.config.base_url}/links/{key}"), None)
    if link is None:
        raise no_such("file link", key, param="link")
    return download(work, link["file"])


def _link(work: Work, file: Body, params: Body) -> Body:
    if file["purpose"] not in _LINKABLE:
        raise invalid(f"A file with the purpose {file['purpose']} cannot be linked.", param="file")
    url = f"{work.config.base_url}/links/{secrets.token_urlsafe(24)}"
    link = work.create(
        "file_link", file=file["id"], url=url, **given(params, "expires_at metadata")
    )
    _expire_in_time(work, link)
    return link


def _expire_in_time(work: Work, link: Body) -> None:
    work.unschedule("file_link.expire", link)
    if link["expires_at"] is None:
        return
    if link["expires_at"] <= work.now:
        expire(work, link["id"])
    else:
        work.schedule("file_link.expire", link, at=link["expires_at"])
