#!/usr/bin/env bash
# Ends this pod when nobody looks after it any more. It runs from the pod's first second, before sshd: a pod that its
# maker never reached ends itself, too.
#
# Seconds, at most:
#   PGOLF_FIRST_LEASE_S   to the first lease
#   PGOLF_LEASE_S         from one renewal (new content of ~/.pgolf/lease) to the next
#   PGOLF_LIFETIME_S      that the pod lives; ~/.pgolf/lifetime_s may say less
#   PGOLF_FETCH_GRACE_S   added while ~/.pgolf/unfetched/ is not empty: a finished seed waits to be fetched
#   PGOLF_TICK_S          between looks
#
# Time is the kernel's uptime: a clock that is set while this runs ends nothing and prolongs nothing.
set -u
state=${HOME:-/root}/.pgolf
mkdir -p "$state/unfetched"

uptime_s() {
    local up
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

end_pod() {
    echo "$(date -u +%FT%TZ) ending this pod: $1" | tee -a "$state/watchdog.log"
    runpodctl pod delete "$RUNPOD_POD_ID" && return
    runpodctl remove pod "$RUNPOD_POD_ID" && return # its older spelling
    # the key on standard input: arguments are for everyone to read
    printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" |
        curl --silent --fail --max-time 30 --request DELETE --config - "https://rest.runpod.io/v1/pods/$RUNPOD_POD_ID"
}

born=$(uptime_s)
lease='' renewed=$born due=''
while sleep "$PGOLF_TICK_S"; do
    now=$(uptime_s)
    current=$(cat "$state/lease" 2>/dev/null)
    if [[ -n $current && $current != "$lease" ]]; then
        lease=$current renewed=$now
    fi
    lifetime=$PGOLF_LIFETIME_S
    less=$(cat "$state/lifetime_s" 2>/dev/null)
    if [[ $less =~ ^[0-9]+$ ]] && ((less < lifetime)); then lifetime=$less; fi
    if ((now - born > lifetime)); then
        why="its lifetime of $lifetime s is over"
    elif [[ -z $lease ]] && ((now - born > PGOLF_FIRST_LEASE_S)); then
        why="no lease within $PGOLF_FIRST_LEASE_S s"
    elif [[ -n $lease ]] && ((now - renewed > PGOLF_LEASE_S)); then
        why="its lease was not renewed for $PGOLF_LEASE_S s"
    else
        due=''
        continue
    fi
    due=${due:-$now}
    if ((now - due < PGOLF_FETCH_GRACE_S)) && [[ -n $(ls -A "$state/unfetched") ]]; then
        continue
    fi
    end_pod "$why" # if that fails, the next look tries again
done
