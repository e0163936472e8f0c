#!/usr/bin/env bash
# Starts the four services as separate processes on 7001-7004, replays the sample through them, and keeps serving until interrupted or until one
# of them ends. BIN: where the binaries are. DATA: the data directory, emptied first.
set -euo pipefail
BIN=${BIN:-target/debug}
DATA=${DATA:-data/mesh}
declare -A PORTS=([processor]=7001 [datasync]=7002 [analytics]=7003 [notifications]=7004)

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Before anything is removed: whoever has a port may have the data, too.
for service in "${!PORTS[@]}"; do
  if answers "${PORTS[$service]}"; then
    echo "port ${PORTS[$service]} is taken: is the mesh running already?" >&2
    exit 1
  fi
done
rm -rf "$DATA"
mkdir -p "$DATA"

declare -A PIDS=()
stop() { kill "${PIDS[@]}" 2>/dev/null || true; wait 2>/dev/null || true; }
trap stop EXIT
trap 'exit 0' INT TERM

for service in datasync analytics notifications processor; do
  "$BIN/pathway-$service" --data-dir "$DATA" 2>"$DATA/$service.log" &
  PIDS[$service]=$!
done
ended() { echo "$1 ended:" >&2; tail -n 3 "$DATA/$1.log" >&2; exit 1; }
check() { for service in "${!PIDS[@]}"; do kill -0 "${PIDS[$service]}" 2>/dev/null || ended "$service"; done; }
for service in "${!PORTS[@]}"; do
  until answers "${PORTS[$service]}"; do check; sleep 0.1; done
done
check

export PATHWAY_SERVER=http://127.0.0.1:7001 PATHWAY_DATASYNC_SERVER=http://127.0.0.1:7002
export PATHWAY_ANALYTICS_SERVER=http://127.0.0.1:7003 PATHWAY_NOTIFICATIONS_SERVER=http://127.0.0.1:7004
"$BIN/pathway" demo
cat <<END

serving: processor 7001, datasync 7002, analytics 7003, notifications 7004 (logs in $DATA/*.log; Ctrl-C stops them)
to use the command line with them:
  export PATHWAY_SERVER=$PATHWAY_SERVER PATHWAY_DATASYNC_SERVER=$PATHWAY_DATASYNC_SERVER \\
         PATHWAY_ANALYTICS_SERVER=$PATHWAY_ANALYTICS_SERVER PATHWAY_NOTIFICATIONS_SERVER=$PATHWAY_NOTIFICATIONS_SERVER
END
# A mesh that lacks a service is not the mesh: the first to end ends it.
wait -n "${PIDS[@]}" || true
check
