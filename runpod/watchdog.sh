#!/usr/bin/env bash
# Ends this pod when nobody looks after it any more. It runs from the container's first second, before sshd: a pod that
# its maker never reached ends itself, too. It looks at once, and then every PGOLF_TICK_S: a container that dies after
# seconds and is started again and again gets one look a start.
#
# Seconds, at most:
#   PGOLF_FIRST_LEASE_S   from a start of the container to the first lease; from the pod's birth, twice as many
#   PGOLF_LEASE_S         from one renewal (new content of ~/.pgolf/lease) to the next
#   PGOLF_LIFETIME_S      that the pod lives; ~/.pgolf/lifetime_s may say less
#   PGOLF_FETCH_GRACE_S   added while ~/.pgolf/unfetched/ is not empty: a finished seed waits to be fetched
#   PGOLF_TICK_S          between looks
#
# A pod is born once, however often its container is started:
#   - Where the disk was kept, ~/.pgolf/watched has all of this, and counts the starts: MOST_STARTS of them without a
#     lease end the pod.
#   - Where the disk is new, the pod's age is the time by the API's own clock (the Date of a reply of PGOLF_API; without
#     curl, by the clock here) less PGOLF_BORN, the Unix time at which the pod was asked for.
#   - Until the API answers, which it has to for a pod to be ended, the pod counts as born with this start.
#
# From there on, time is the kernel's uptime: a clock that is wrong here, or set while this runs, ends nothing and
# prolongs nothing.
set -u
state=${HOME:-/root}/.pgolf
api=${PGOLF_API:-https://rest.runpod.io/v1}
api=${api%/}
MOST_STARTS=10
mkdir -p "$state/unfetched"

uptime_s() {
    local up
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

true_time() { # Unix time, or nothing
    if ! command -v curl >/dev/null; then
        date +%s
        return
    fi
    local said
    said=$(curl --silent --max-time 10 --head "$api/pods" | tr -d '\r' | sed -n 's/^[Dd]ate: //p' | head -n 1)
    [[ -n $said ]] && date -d "$said" +%s 2>/dev/null
}

end_pod() {
    echo "$(date -u +%FT%TZ) ending this pod: $1" | tee -a "$state/watchdog.log"
    timeout 60 runpodctl pod delete "$RUNPOD_POD_ID" && return
    timeout 60 runpodctl remove pod "$RUNPOD_POD_ID" && return # its older spelling
    # the key on standard input: arguments are for everyone to read
    printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" |
        curl --silent --fail --max-time 30 --request DELETE --config - "$api/pods/$RUNPOD_POD_ID"
}

keep() {
    echo "$boot $born $renewed $starts ${due:--} ${lease:--}" >"$state/watched.new" && mv "$state/watched.new" "$state/watched"
}

boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
started=$(uptime_s)
born=$started renewed=$started starts=0 lease='' due='' sure=''
if read -r kept_boot kept_born kept_renewed kept_starts kept_due kept_lease 2>/dev/null <"$state/watched"; then
    if [[ $kept_starts =~ ^[0-9]{1,9}$ ]]; then starts=$kept_starts; fi
    # another boot: the machine itself was started anew, and its uptime too
    if [[ $kept_boot == "$boot" && $kept_born =~ ^-?[0-9]{1,12}$ && $kept_renewed =~ ^[0-9]{1,12}$ ]]; then
        born=$kept_born renewed=$kept_renewed sure=1
        [[ $kept_lease == - ]] || lease=$kept_lease
        [[ ! $kept_due =~ ^[0-9]{1,12}$ ]] || due=$kept_due
    fi
fi
starts=$((starts + 1))
keep

look() {
    local now current lifetime less why asked
    now=$(uptime_s)
    if [[ -z $sure && ! ${PGOLF_BORN:-} =~ ^[1-9][0-9]{0,11}$ ]]; then sure=1; fi # nobody has said when
    if [[ -z $sure ]]; then
        asked=$(true_time)
        if [[ $asked =~ ^[0-9]{1,12}$ ]]; then
            sure=1
            if ((asked - PGOLF_BORN > now - started)); then
                born=$((now - (asked - PGOLF_BORN)))
                keep
            fi
        fi
    fi
    current=$(head -c 100 "$state/lease" 2>/dev/null | tr -cd '[:alnum:] ' | tr ' ' _)
    if [[ -n $current && $current != "$lease" ]]; then
        lease=$current renewed=$now
        keep
    fi
    lifetime=$PGOLF_LIFETIME_S
    less=$(head -c 20 "$state/lifetime_s" 2>/dev/null)
    if [[ $less =~ ^[0-9]{1,9}$ ]] && ((10#$less < lifetime)); then lifetime=$((10#$less)); fi
    if ((now - born > lifetime)); then
        why="its lifetime of $lifetime s is over"
    elif [[ -n $lease ]] && ((now - renewed > PGOLF_LEASE_S)); then
        why="its lease was not renewed for $PGOLF_LEASE_S s"
    elif [[ -z $lease ]] && ((starts >= MOST_STARTS)); then
        why="started $starts times without a lease"
    elif [[ -z $lease ]] && ((now - started > PGOLF_FIRST_LEASE_S || now - born > 2 * PGOLF_FIRST_LEASE_S)); then
        why="no lease within $PGOLF_FIRST_LEASE_S s"
    else
        due=''
        return
    fi
    if [[ -z $due ]]; then
        due=$now
        keep
    fi
    if ((now - due < PGOLF_FETCH_GRACE_S)) && [[ -n $(ls -A "$state/unfetched") ]]; then
        return
    fi
    end_pod "$why" # if that fails, the next look tries again
}

look
while sleep "$PGOLF_TICK_S"; do look; done
