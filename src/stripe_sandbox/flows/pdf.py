"""A small PDF of plain lines, as invoices, credit notes and quotes are downloaded."""

from collections.abc import Iterator, Sequence

_PER_PAGE = 48
_FIRST = "72 770 Td 15 TL"


def pdf_of(lines: Sequence[str]) -> bytes:
    """Text on pages of A4; what the standard font does not have becomes a question mark."""
    texts = [lines[i : i + _PER_PAGE] for i in range(0, len(lines), _PER_PAGE)] or [[]]
    return _assembled(list(_objects(texts)))


def _objects(texts: list[Sequence[str]]) -> Iterator[bytes]:
    """Catalogue, pages and font, then each page with its text."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(texts)))
    yield b"<< /Type /Catalog /Pages 2 0 R >>"
    yield f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>".encode()
    yield b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    for i, text in enumerate(texts):
        yield (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]"
            f" /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * i} 0 R >>"
        ).encode()
        shown = b"".join(b"(%s) Tj T*\n" % _escaped(line) for line in text)
        stream = b"BT /F1 11 Tf %s\n%sET" % (_FIRST.encode(), shown)
        yield b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)


def _escaped(line: str) -> bytes:
    plain = line.encode("cp1252", errors="replace")
    for mark in (b"\\", b"(", b")"):
        plain = plain.replace(mark, b"\\" + mark)
    return plain


def _assembled(objects: list[bytes]) -> bytes:
    """The objects one after the other, and the table that says where each begins."""
    file, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count, start = len(objects) + 1, len(file)
    return file + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, start)
    )
