#!/usr/bin/env bash
# Prints where a Chromium is: CHROMIUM, or one on the path or in macOS's applications, or Debian's, which
# root has installed here.
set -euo pipefail

if [[ -n ${CHROMIUM:-} ]]; then
	[[ -x $CHROMIUM ]] || { echo "CHROMIUM=$CHROMIUM is no program" >&2; exit 1; }
	echo "$CHROMIUM"
	exit
fi
applications=(/Applications/{Chromium,Google\ Chrome}.app/Contents/MacOS/{Chromium,Google\ Chrome})
found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
found && exit
for program in "${applications[@]}"; do
	[[ -x $program ]] && { echo "$program"; exit; }
done
# Without a font of its own a page has no text to look at.
packages=(chromium fonts-dejavu-core)
if [[ $EUID != 0 ]] || ! command -v apt-get > /dev/null; then
	echo "the tests of the page need a Chromium and none is here; on Debian: apt-get install ${packages[*]};" \
		"on Ubuntu: snap install chromium; on macOS: brew install --cask chromium; or set CHROMIUM" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
get() { apt-get -qq -o Acquire::Retries=5 "$@"; }
{
	echo "installing ${packages[*]}"
	get update && get install --yes --no-install-recommends "${packages[@]}"
} >&2 || { echo "apt-get could not install ${packages[*]}, which the tests of the page need" >&2; exit 1; }
found
