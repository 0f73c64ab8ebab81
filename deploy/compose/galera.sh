#!/usr/bin/env bash
# Starts a server of the cluster, in the image of MariaDB: galera.sh PROGRAM [OPTION...]
#
# Every server joins the others, or waits for them, but for two cases: whoever was the last to stop begins the cluster
# again, even if others wait already, and the one with GALERA_FIRST begins it when it has never been part of one and no
# other runs. GALERA_FIRST is for the very first start: a server that has lost its volume would begin an empty cluster.
# GALERA_NAME is the server's name, GALERA_OTHERS those of the others; with -galera behind them they are the names in
# the network of replication.
set -euo pipefail
state=${GALERA_DATA:-/var/lib/mysql}/grastate.dat

others_run() {
  local other
  for other in $GALERA_OTHERS; do
    if timeout 2 bash -c ": >/dev/tcp/$other-galera/4567" 2>/dev/null; then return 0; fi
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
# A new server initializes its volume first, and the first one does so too: so the others wait.
address=$GALERA_NAME-galera
# Galera stops when it is to listen at a name.
ip=$(getent hosts "$address" | awk 'NR == 1 { print $1 }')
options="pc.wait_prim_timeout=PT3M;gmcast.listen_addr=tcp://$ip:4567;ist.recv_bind=$ip"
exec "${GALERA_ENTRYPOINT:-docker-entrypoint.sh}" "$@" --wsrep-node-name="$GALERA_NAME" \
  --wsrep-node-address="$address" --wsrep-provider-options="$options" "${begin[@]}"
