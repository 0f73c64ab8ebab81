#!/usr/bin/env bash
# Starts a server of the cluster, in the image of MariaDB: galera.sh PROGRAM [OPTION...]
#
# Every server joins the others, or waits for them, but for two cases: whoever was the last to stop begins the cluster
# again, even if others wait already, and the first one begins it when it has never been part of one and no other runs.
# GALERA_NAME is the server's name, GALERA_OTHERS those of the others, GALERA_FIRST is not empty for the first one.
set -euo pipefail
state=${GALERA_DATA:-/var/lib/mysql}/grastate.dat

others_run() {
  local other
  for other in $GALERA_OTHERS; do
    if timeout 2 bash -c ": >/dev/tcp/$other/4567" 2>/dev/null; then return 0; fi
  done
  return 1
}

begin=()
if [ -e "$state" ] && grep -q '^safe_to_bootstrap: 1' "$state"; then
  echo "galera.sh: was the last one, begins again"
  begin=(--wsrep-new-cluster)
elif [ ! -e "$state" ] && [ -n "${GALERA_FIRST:-}" ] && ! others_run; then
  echo "galera.sh: begins"
  begin=(--wsrep-new-cluster)
else
  echo "galera.sh: joins the others, or waits for them"
fi
exec "${GALERA_ENTRYPOINT:-docker-entrypoint.sh}" "$@" --wsrep-node-name="$GALERA_NAME" \
  --wsrep-node-address="$GALERA_NAME" "${begin[@]}"
