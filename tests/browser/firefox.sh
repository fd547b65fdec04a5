#!/usr/bin/env bash
# Prints where a Firefox is: FIREFOX, or one on the path or in macOS's applications, or Debian's, which root
# has installed here. Prints nothing, and says why, if there is none; where CI is set, that is an error.
set -euo pipefail

if [[ -n ${FIREFOX:-} ]]; then
	[[ -x $FIREFOX ]] || { echo "FIREFOX=$FIREFOX is no program" >&2; exit 1; }
	echo "$FIREFOX"
	exit
fi
found() { command -v firefox-esr || command -v firefox; }
found && exit
application=/Applications/Firefox.app/Contents/MacOS/firefox
[[ -x $application ]] && { echo "$application"; exit; }
missing() {
	echo "$1; without it, the tests of the page run in Chromium alone" >&2
	[[ -z ${CI:-} ]]
	exit
}
if [[ $EUID != 0 ]] || ! command -v apt-get > /dev/null; then
	missing "no Firefox is here; on Debian: apt-get install firefox-esr; or set FIREFOX"
fi
export DEBIAN_FRONTEND=noninteractive
{
	echo "installing firefox-esr"
	apt-get -qq update && apt-get -qq install --yes --no-install-recommends firefox-esr
} >&2 || missing "apt-get could not install firefox-esr"
found
