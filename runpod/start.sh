# What a rented pod runs: the watchdog, then the image's own start, or sshd where the image has none.
# $1 is the text of watchdog.sh: it must not depend on anything that has to be fetched first.
mkdir -p "$HOME/.pgolf"
cat /proc/sys/kernel/random/uuid >"$HOME/.pgolf/start" # of this start of the container: nobody takes the next one for it
setsid bash -c "$1" watchdog >/dev/null 2>&1 </dev/null &
if [ -x /start.sh ]; then exec /start.sh; fi
mkdir -p "$HOME/.ssh" /run/sshd
chmod 700 "$HOME/.ssh"
printf '%s\n' "$PUBLIC_KEY" >>"$HOME/.ssh/authorized_keys"
chmod 600 "$HOME/.ssh/authorized_keys"
ssh-keygen -A
exec "$(command -v sshd)" -D -e
