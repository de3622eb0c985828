# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP for tests written in bash:
#
#	t "behaviour" COMMAND...	run a test: the command must succeed
#	end_of_tests			print the plan; true if all tests passed
#
# The output of a command is shown only if it fails.
tests=0
failed=0
tap_log=$(mktemp)

t() {
	local name=$1 status
	shift
	tests=$((tests + 1))
	# not in the condition of an if, where set -e has no effect
	(set -e; "$@") >"$tap_log" 2>&1
	status=$?
	if [ $status = 0 ]; then
		echo "ok $tests - $name"
	else
		tail -n 40 "$tap_log" | sed 's/^/# /'
		echo "not ok $tests - $name"
		failed=$((failed + 1))
	fi
}

end_of_tests() {
	rm -f "$tap_log"
	echo "1..$tests"
	[ "$failed" = 0 ] && [ "$tests" -gt 0 ]
}

# same WANT GOT: the strings must be equal
same() {
	[ "$1" = "$2" ] || {
		echo "wanted: $1"
		echo "got:    $2"
		return 1
	}
}

# says TEXT FILE: the file must contain the text
says() {
	grep -qF -- "$1" "$2" || {
		echo "'$1' is not in:"
		cat "$2"
		return 1
	}
}

# status N COMMAND...: the command must end with status N
status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	same "status $want" "status $got"
}
