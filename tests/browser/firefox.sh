#!/usr/bin/env bash
# Prints where a Firefox is: FIREFOX, or one on the path or in macOS's applications, or Debian's, which root
# has installed here. Prints nothing, and says why, if there is none: then tests are skipped, because an
# index without Firefox must not keep a change from landing.
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
	exit 0
}
if [[ $EUID != 0 ]] || ! command -v apt-get > /dev/null; then
	missing "no Firefox is here; on Debian: apt-get install firefox-esr; or set FIREFOX"
fi
export DEBIAN_FRONTEND=noninteractive
quick=(-qq -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1)
get() { timeout -k 10 120 apt-get "${quick[@]}" "$@" < /dev/null; } # Never while dpkg is at work.
{
	echo "installing firefox-esr"
	get update && get install --yes --no-install-recommends --download-only firefox-esr &&
		apt-get -qq install --yes --no-install-recommends --no-download firefox-esr < /dev/null
} >&2 || missing "apt-get could not install firefox-esr"
found || missing "apt-get has installed firefox-esr, but it is not on the path"
