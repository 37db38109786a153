# Sourced by .ci/run and .ci/full: the programs a window test needs, and a fresh environment.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

missing=()
command -v Xvfb >/dev/null || missing+=(xvfb)
command -v xdotool >/dev/null || missing+=(xdotool)
command -v import >/dev/null || missing+=(imagemagick)
command -v xwininfo >/dev/null || missing+=(x11-utils)
command -v g++ >/dev/null || missing+=(g++)
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null; then
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null
fi

python=python3
for candidate in python3.11 python3.12 python3.13; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'pass' 2>/dev/null; then
        python=$candidate; break
    fi
done
"$python" -m venv "$work/venv"
source "$work/venv/bin/activate"
pip install --quiet --disable-pip-version-check -e '.[test]'
