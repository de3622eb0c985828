# SPDX-License-Identifier: GPL-2.0
# Completion of the command d2tcp for bash.
_d2tcp() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local words=

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words="default-budget disable doctor enable holders route run stats watch"
		words="$words --help --version"
	else
		case ${COMP_WORDS[1]}:$previous in
		run:--budget|run:--expect|watch:--interval)
			words="5ms 10ms 20ms 50ms 100ms 1s" ;;
		run:--|run:[0-9]*s|run:--verbose)
			words="--budget --expect --verbose --"
			mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
		run:*) words="--budget --expect --verbose --" ;;
		watch:--count) ;;
		watch:*) words="--interval --count --all --json" ;;
		enable:--budget|enable:--expect) words="5ms 10ms 20ms 50ms 100ms 1s" ;;
		enable:enable|disable:disable)
			words=$(systemctl list-unit-files --type service --no-legend \
				2>/dev/null | cut -d " " -f 1) ;;
		enable:*) words="--budget --expect --root" ;;
		disable:*) words="--root" ;;
		route:route) words="add del" ;;
		default-budget:default-budget) words="off 5ms 10ms 20ms 50ms" ;;
		default-budget:*) words="--save" ;;
		stats:--listen) words="9101" ;;
		stats:*) words="--json --prometheus --listen" ;;
		doctor:*) words="--json" ;;
		esac
	fi
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _d2tcp d2tcp
