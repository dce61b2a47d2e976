#!/bin/sh
# Plays one scenario and rests after it: act.sh SCENARIO [SIPP-OPTION…]. A resting phone answers the PBX's OPTIONS, or
# it would be taken for gone. One SIPp at a time has the port; /run/sipp holds its process id from before it starts, so
# that none is missed. The account, the addresses and the ports come from the container's environment.
set -u

play() { # replaces its shell: start it in the background
    scenario=$1
    shift
    exec sipp "$PBX" -sf "/scenarios/$scenario.xml" -i "$ADDRESS" -p 5060 -mi "$ADDRESS" \
        -min_rtp_port "${RTP_PORTS%-*}" -max_rtp_port "${RTP_PORTS#*-}" \
        -key account "$ACCOUNT" -au "$ACCOUNT" -ap "$SECRET" \
        -nostdin -aa -default_behaviors all,-bye -trace_err -error_file /dev/stderr \
        -trace_msg -message_file "/tmp/messages-$scenario" -message_overwrite true "$@"
}

if [ -e /run/sipp ]; then
    resting=$(cat /run/sipp)
    kill -9 "$resting"
    while kill -0 "$resting" 2>/dev/null; do sleep 0.01; done
fi

play "$@" &
echo $! >/run/sipp
wait $!
code=$?

play idle -key run idle </dev/null >/dev/null 2>&1 &
echo $! >/run/sipp
exit $code
