"""Compiles what each sale passes through, where Cabina is installed: the same files, by Cython.

They are plain Python, and an editable install runs them so; compiled a server takes queued sales in
in four fifths of the time. Where they cannot be compiled the wheel is plain Python.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.errors import CCompilerError, ExecError, PlatformError

MODULES = (
    *(f"sync.{name}" for name in ("codec", "op", "sequencer", "table", "view")),
    *(f"node.cafe.{name}" for name in ("box", "catalog", "house", "kinds", "lines", "money")),
    *(f"node.cafe.{name}" for name in ("orders", "stock")),
)


class CompiledModules(BuildHookInterface[Any]):
    """Puts the compiled modules into the wheel beside their sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # whoever changes a file shall see it run
            return
        self._folder = TemporaryDirectory(prefix="cabina-compiled-")
        try:
            files = compile_modules(Path(self._folder.name))
        except (CCompilerError, ExecError, PlatformError) as error:
            self.app.display_warning(f"Not compiled, Cabina will run as plain Python: {error}")
            return
        build_data["pure_python"], build_data["infer_tag"] = False, True
        build_data["force_include"].update(files)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()


def compile_modules(folder: Path) -> dict[str, str]:
    """Compiled files in ``folder`` → where they belong in the wheel. Raises what setuptools raises
    without a C compiler or Python's headers."""
    paths = {name: name.replace(".", "/") for name in MODULES}
    small = [] if sys.platform == "win32" else ["-g0"]  # nobody steps through the C
    extensions = cythonize(
        [Extension(n, [f"{path}.py"], extra_compile_args=small) for n, path in paths.items()],
        build_dir=str(folder / "translated"),
        compiler_directives={"annotation_typing": False},  # annotations promise nothing at run time
        language_level=3,
        quiet=True,
    )
    build = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib, build.build_temp = str(folder / "built"), str(folder / "objects")
    build.parallel = os.cpu_count()
    build.ensure_finalized()
    build.run()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return {str(folder / "built" / f"{path}{suffix}"): f"{path}{suffix}" for path in paths.values()}
