#!/bin/sh
# Installs Debian's or Ubuntu's rabbitmq-server as root, without starting or enabling the machine's own service:
# the platform runs a private node of its own. Called by scripts/bootstrap.py; the answer is the exit code.
set -eu

policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-train-jobs
absent=/usr/sbin/policy-rc.d.absent-before-train-jobs
units="rabbitmq-server.service epmd.service epmd.socket"

restore() {
    if [ -e "$saved" ]; then mv -f "$saved" "$policy"; fi
    if [ -e "$absent" ]; then rm -f "$policy" "$absent"; fi
}

# A policy that refuses every start is what apt's maintainer scripts ask; an earlier interrupted run is undone first.
restore
if [ -e "$policy" ]; then cp -p "$policy" "$saved"; else : > "$absent"; fi
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

known=""
for unit in $units; do
    if [ -e "/lib/systemd/system/$unit" ] || [ -e "/usr/lib/systemd/system/$unit" ]; then known="$known $unit "; fi
done

export DEBIAN_FRONTEND=noninteractive
options="-y -q --no-install-recommends -o DPkg::Lock::Timeout=300"
# The package lists are often absent on a bare machine, and fetching them takes longer than the installation.
# shellcheck disable=SC2086
if ! apt-get $options install rabbitmq-server; then
    apt-get -q update
    apt-get $options install rabbitmq-server
fi

# Units that came with this installation stay off at the next boot as well; those that were there are not touched.
for unit in $units; do
    case "$known" in *" $unit "*) continue ;; esac
    if command -v systemctl >/dev/null 2>&1; then systemctl disable "$unit" >/dev/null 2>&1 || true; fi
done
