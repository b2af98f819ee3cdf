"""The SDK's source, parsed."""

import ast
import gc


def parsed(source: str) -> ast.Module:
    """`ast.parse`, undisturbed: CPython 3.11 raises SystemError when the garbage collector runs
    Python code, a finalizer that logs for instance, while it builds a tree.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collecting:
            gc.enable()
