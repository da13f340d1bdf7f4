#!/bin/bash
# Starts nginx and its metrics exporter, keeps nginx's lists of nodes up to date, and stops it
# without a failed request: after the signal to stop, health checks get 503 for DRAIN_SECONDS while
# everything else is still answered. By then Varnish has moved on, and sends no upload into a
# connection that is about to close. Then nginx closes its port, and ends when its open requests have
# finished.
#   STORAGE, TRANSFORM  name and port of a service (storage:8081, transform:8082); the name can have
#                       several addresses, which can change
#   DRAIN_SECONDS       how long health checks get 503 before the port closes (3)
# For other variables see configure.sh. An empty variable has its default.
set -euo pipefail
declare -A places=([storage]=${STORAGE:-storage:8081} [transform]=${TRANSFORM:-transform:8082})
drain=${DRAIN_SECONDS:-3}
code=/etc/nginx
run=/tmp
"$code/configure.sh" "$run"
rm -f "$run/leaving"

lookup() { # prints the resolver's answers for all services, in any order
  local service
  for service in "${!places[@]}"; do
    # With the name servers and the search domains of /etc/resolv.conf, and /etc/hosts.
    { getent ahosts "${places[$service]%:*}" || true; } | while read -r address kind _; do
      # An address with a zone (fe80::1%eth0) would lead nowhere in nginx.
      if [ "$kind" = STREAM ] && [[ $address != *%* ]]; then echo "$service $address"; fi
    done
  done
}

declare -A nodes=()
update() { # ANSWERS: writes nodes.conf if addresses have changed; returns whether they have
  local service now changed=1
  for service in "${!places[@]}"; do
    now=$(sed -n "s/^$service //p" <<<"$1" | sort -u)
    # No address: the service or the name server is down. Keep the old addresses until it is back.
    if [ -n "$now" ] && [ "$now" != "${nodes[$service]:-}" ]; then
      echo "$service is at ${now//$'\n'/, }"
      nodes[$service]=$now
      changed=0
    fi
  done
  return $changed
}

write() { # atomically
  for service in "${!places[@]}"; do
    # shellcheck disable=SC2086  # words
    "$code/nodes" "$service" "${places[$service]##*:}" ${nodes[$service]:-}
  done >"$run/nodes.conf.new"
  mv "$run/nodes.conf.new" "$run/nodes.conf"
}

follow() { # asks the name server every second
  local answer known=$1 never
  exec {never}<> <(:)
  while true; do
    read -rt 1 -u "$never" || true # like `sleep`, which would be a process
    answer=$(lookup)
    if [ "$answer" = "$known" ]; then continue; fi
    known=$answer
    # Workers with the old addresses finish their requests.
    if update "$answer"; then write && kill -HUP "$nginx"; fi
  done
}

unsent() { # whether the kernel still has something to send: it would be lost with this container
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk '$2 ~ /:1F90$/ && $5 !~ /^0+:/ { found = 1 } END { exit !found }'
}

leave() {
  trap '' QUIT TERM INT
  touch "$run/leaving"
  echo "stopping in $drain s"
  sleep "$drain"
  kill "$follower" 2>/dev/null || true
  kill -QUIT "$nginx"
  wait "$nginx" || true
  # Not for ever, since the far end may not read.
  local end=$((SECONDS + 30))
  while [ $SECONDS -lt $end ] && unsent; do sleep 0.2; done
  exit
}

# Serves metrics to Prometheus on 9113, from conf.d/status.conf. nginx keeps running if the exporter
# ends. The options have two dashes, as newer exporters require.
measure() {
  while command -v prometheus-nginx-exporter >/dev/null; do
    # So that nginx listens before the first try.
    sleep 1
    prometheus-nginx-exporter --nginx.scrape-uri=http://127.0.0.1:8083/status \
      --web.listen-address=:9113 >/dev/null 2>&1 ||
      echo "the metrics exporter ended with status $?; restarting it in 5 s"
    sleep 5
  done
}

answer=$(lookup)
update "$answer" || true
write
# Its errors show URLs. Who has a signature has the right to see the picture (conf.d/log.conf).
nginx -c "$code/nginx.conf" -g 'daemon off;' "$@" \
  2> >(LC_ALL=C sed -u 's/\([?&]signature=\)[^&" ]*/\1-/g' >&2) &
nginx=$!
trap leave QUIT TERM INT
trap 'kill -HUP "$nginx"' HUP
follow "$answer" &
follower=$!
measure &
status=0
# `wait` returns at every signal, so wait until the process is gone.
while kill -0 "$nginx" 2>/dev/null; do
  wait "$nginx" && status=0 || status=$?
done
exit "$status"
