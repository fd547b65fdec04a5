#!/bin/sh
# Says what to install on this machine if it has no Python or no Node that fits:
#   local/needs.sh python FOUND        FOUND is the Python that the Makefile has found, or empty
#   local/needs.sh node OLDEST         OLDEST is the oldest Node that builds the page
# Exits with 1 if something is missing. OS_RELEASE and KERNEL are for its tests.
release=${OS_RELEASE:-/etc/os-release}
kernel=${KERNEL:-$(uname -sr)}

system=other
case $kernel in
Darwin*) system=macos ;;
*) # shellcheck disable=SC1090
	[ -r "$release" ] && system=$(. "$release" && echo "${ID:-other}") ;;
esac
case $kernel in
*[Mm]icrosoft*) where=" inside of WSL, where programs of Windows do not count" ;;
*) where="" ;;
esac

missing() { # what is missing, then a command for Debian, Ubuntu, macOS and any other system
	case $system in
	debian) install=$2 ;;
	ubuntu) install=$3 ;;
	macos) install=$4 ;;
	*) install=$5 ;;
	esac
	echo "$1$where. To install one: $install" >&2
	exit 1
}

any_python="uv python install 3.13, then make with PYTHON=\"\$(uv python find 3.13)\""
deadsnakes="add-apt-repository ppa:deadsnakes/ppa, then apt-get install python3.13-venv"

case $1 in
python)
	if [ -z "$2" ]; then
		found=$(python3 -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null)
		missing "Python 3.11, 3.12 or 3.13 is needed, and ${found:-no Python} was found" \
			"apt-get install python3 python3-venv, or $any_python" "$deadsnakes, or $any_python" \
			"brew install python@3.13, or $any_python" "$any_python"
	fi
	"$2" -c 'import ensurepip' 2>/dev/null && exit
	missing "$2 has no venv" "apt-get install python3-venv" "apt-get install $(basename "$2")-venv" \
		"brew install python@3.13" "the package of your system with Python's venv, or $any_python"
	;;
node)
	found=$(node -p process.versions.node 2>/dev/null)
	case $(command -v npm) in
	"" | /mnt/[a-z]/*) found="" ;; # WSL also finds the npm of Windows, which cannot work here.
	esac
	# Number by number: 1.10 is newer than 1.9.
	printf '%s %s\n' "${found:-0}" "$2" | awk '{
		split($1, found, "."); split($2, oldest, ".")
		exit !(found[1] + 0 > oldest[1] + 0 || (found[1] + 0 == oldest[1] + 0 && found[2] + 0 >= oldest[2] + 0))
	}' && exit
	missing "Node $2 or newer with npm is needed, and ${found:+Node }${found:-none} was found" \
		"apt-get install nodejs npm, on Debian 13 or newer" \
		"snap install node --classic, or nodejs.org" "brew install node" "see nodejs.org"
	;;
esac
