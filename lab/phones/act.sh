#!/bin/sh
# Breaks off what the phone does, plays a scenario, if one is named, and rests: act.sh [SCENARIO [SIPP-OPTION…]].
# A resting phone answers the PBX's OPTIONS, or it would be taken for gone. One SIPp at a time has the port: /run/act
# holds its process id from before it starts, so that none is missed. Account and addresses are in the environment.
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

# What went on before: an act's shell and SIPp, or the resting SIPp.
for process in $(cat /run/act 2>/dev/null); do
    kill -9 "$process" 2>/dev/null
    while kill -0 "$process" 2>/dev/null; do sleep 0.01; done
done

code=0
if [ $# -gt 0 ]; then
    play "$@" &
    echo "$$ $!" >/run/act
    wait $!
    code=$?
fi

play idle -key run idle </dev/null >/dev/null 2>&1 &
echo $! >/run/act
exit $code
