#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests d2tcp enable and disable: the drop-in file of a unit, with a systemctl that knows
# two units.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
d2tcp=$PWD/build/d2tcp
shim=$PWD/build/libd2tcp-preload.so
dir=$tmp/root/etc/systemd/system/web.service.d
file=$dir/60-d2tcp.conf
mkdir -p "$tmp/bin" "$tmp/root"
PATH=$tmp/bin:$PATH

echo 'int main(void) { return 0; }' >"$tmp/c.c"
gcc -static -o "$tmp/static" "$tmp/c.c" || exit 1

cat >"$tmp/bin/systemctl" <<E2
#!/bin/sh
echo "\$*" >>"$tmp/calls"
case "\$*" in
daemon-reload) exit "\$(cat "$tmp/reload" 2>/dev/null || echo 0)" ;;
*"LoadState web.service"|*"LoadState static.service") echo loaded ;;
*LoadState*) echo not-found ;;
*"ExecStart static.service")
	echo "{ path=$tmp/static ; argv[]=$tmp/static -g ; ignore_errors=no }" ;;
*ExecStart*) echo "{ path=/bin/sh ; argv[]=/bin/sh -c x ; ignore_errors=no }" ;;
*Environment*) cat "$tmp/environment" 2>/dev/null || echo ;;
esac
E2
chmod +x "$tmp/bin/systemctl"

writes() {
	: >"$tmp/calls"
	status 0 "$d2tcp" enable web --budget 20ms --root "$tmp/root" >"$tmp/o"
	says "systemctl restart web.service applies it" "$tmp/o"
	same "$(printf '%s\n' "# by d2tcp enable; d2tcp disable removes it" "[Service]" \
		"Environment=LD_PRELOAD=$shim" \
		"Environment=D2TCP_RUN_BUDGET_US=20000")" "$(cat "$file")"
	same daemon-reload "$(tail -n 1 "$tmp/calls")"
	status 0 "$d2tcp" enable web.service --expect 30ms --budget 5us \
		--root "$tmp/root" >"$tmp/o"
	same "Environment=D2TCP_RUN_BUDGET_US=5 Environment=D2TCP_RUN_EXPECT_US=30000" \
		"$(tail -n 2 "$file" | paste -sd' ')"
}
t "enable writes a drop-in file with the budget and the expectation" writes

# A variable that is assigned twice has the last value, so the unit's own is repeated.
keeps() {
	echo "A=b LD_PRELOAD=/lib/x.so:/lib/y.so C=d" >"$tmp/environment"
	status 0 "$d2tcp" enable web --budget 20ms --root "$tmp/root" >"$tmp/o"
	grep -qx "Environment=LD_PRELOAD=$shim:/lib/x.so:/lib/y.so" "$file"
	# again, now that systemd has read the file
	echo "LD_PRELOAD=$shim:/lib/x.so" >"$tmp/environment"
	status 0 "$d2tcp" enable web --budget 20ms --root "$tmp/root" >"$tmp/o"
	grep -qx "Environment=LD_PRELOAD=$shim:/lib/x.so" "$file"
	rm "$tmp/environment"
}
t "enable keeps the libraries that the unit preloads" keeps

removes() {
	echo "[Service]" >"$dir/other.conf"
	: >"$tmp/calls"
	status 0 "$d2tcp" disable web --root "$tmp/root" >"$tmp/o"
	same "other.conf" "$(ls "$dir")"
	same daemon-reload "$(cat "$tmp/calls")"
	rm "$dir/other.conf"
	status 1 "$d2tcp" disable web --root "$tmp/root" 2>"$tmp/e"
	says "web.service is not enabled: there is no $file" "$tmp/e"
	status 0 "$d2tcp" enable web --budget 20ms --root "$tmp/root" >"$tmp/o"
	status 0 "$d2tcp" disable web --root "$tmp/root" >"$tmp/o"
	[ ! -e "$dir" ]
}
t "disable removes the file and nothing else" removes

# what the file does for a program that systemd starts with it
works() {
	status 0 "$d2tcp" enable web --budget 20ms --root "$tmp/root" >"$tmp/o"
	# shellcheck disable=SC2016,SC2046 # expanded by that shell; a list of variables
	env $(sed -n 's/^Environment=//p' "$file") \
		sh -c 'grep libd2tcp-preload /proc/$$/maps' >"$tmp/o"
	[ -s "$tmp/o" ]
	"$d2tcp" disable web --root "$tmp/root" >/dev/null
}
t "a program with these variables loads the shim" works

refuses() {
	local bad
	status 1 "$d2tcp" enable absent --budget 20ms --root "$tmp/root" 2>"$tmp/e"
	says "systemd has no unit absent.service (not-found)" "$tmp/e"
	status 1 "$d2tcp" enable static --budget 20ms --root "$tmp/root" 2>"$tmp/e"
	says "$tmp/static is statically linked and loads no library; use d2tcp route" \
		"$tmp/e"
	for bad in "web" "web --budget 20" "web --budget" "web --expect 0ms" \
		"--budget 20ms" "web.socket --budget 1ms" "a/b --budget 1ms" \
		"web other --budget 1ms" "web --bogus 1ms"; do
		# shellcheck disable=SC2086 # several arguments
		status 2 "$d2tcp" enable $bad --root "$tmp/root" 2>"$tmp/e"
		[ -s "$tmp/e" ]
	done
	for bad in "" "web --budget 1ms" "a b"; do
		# shellcheck disable=SC2086 # several arguments
		status 2 "$d2tcp" disable $bad --root "$tmp/root" 2>"$tmp/e"
		[ -s "$tmp/e" ]
	done
	same "" "$(find "$tmp/root" -type f)"
	echo "#!/bin/sh" >"$tmp/not-a-directory"
	status 1 "$d2tcp" enable web --budget 1ms --root "$tmp/not-a-directory" 2>"$tmp/e"
	says "Not a directory" "$tmp/e"
}
t "what cannot work is refused, and nothing is written" refuses

reload_fails() {
	echo 1 >"$tmp/reload"
	status 1 "$d2tcp" enable web --budget 1ms --root "$tmp/root" >"$tmp/o"
	rm "$tmp/reload"
	"$d2tcp" disable web --root "$tmp/root" >/dev/null
}
t "the exit status tells that systemd could not read the file" reload_fails

end_of_tests
