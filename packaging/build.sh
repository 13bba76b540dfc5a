#!/usr/bin/env bash
# Builds the one-folder bundle dist/cabina with PyInstaller, and proves it: the bundle itself sells a day.
# Usage: packaging/build.sh [output folder]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
# Not editable, and without flet-cli: its PyInstaller hook would try to download a client.
"$work/venv/bin/pip" install -q --disable-pip-version-check "$root[package]"

cat > "$work/cabina.py" <<'PY'
import sys
from ui.main import main

sys.exit(main())
PY
cd "$work"  # so that the installed packages are bundled, not this checkout
"$work/venv/bin/pyinstaller" --noconfirm --clean --log-level WARN --onedir --name cabina \
    --distpath "$out" --workpath "$work/build" --specpath "$work" \
    --collect-data node --collect-data ui \
    --collect-submodules sync --collect-submodules node --collect-submodules ui \
    --collect-data escpos --collect-data font_source_sans_pro --collect-data babel \
    --collect-data flet_web --collect-submodules flet_web --collect-all flet \
    --collect-submodules uvicorn --collect-submodules websockets \
    --exclude-module tkinter --exclude-module pytest "$work/cabina.py"

# What the web client carries and we never serve.
rm -rf "$out"/cabina/_internal/flet_web/web/pyodide
find "$out/cabina/_internal/flet_web/web" -name '*.symbols' -delete

"$out/cabina/cabina" demo --headless --orders 12 --data "$work/demo" --json > "$work/report.json"
"$out/cabina/cabina" verify --data "$work/demo/server"
python3 - "$work/report.json" <<'PY'
import json, sys

report = json.load(open(sys.argv[1]))
assert report["collected"] == report["printed"] == 12, report
assert report["lost"] == report["duplicated"] == 0, report
print("the bundle sold a day:", report["orders"], "orders, box", report["box"]["total_minor"])
PY
du -sh "$out/cabina"
