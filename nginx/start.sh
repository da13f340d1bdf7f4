#!/bin/sh
# Writes the limits from the environment, starts nginx and its metrics exporter, and stops nginx
# without a failed request: after the signal to stop, health checks get 503 for DRAIN_SECONDS (3)
# while everything else is still answered. By then Varnish has moved on, and sends no upload into a
# connection that is about to close.
set -eu
drain=${DRAIN_SECONDS:-3}
/etc/nginx/configure.sh /tmp
rm -f /tmp/leaving

leave() {
  trap '' QUIT TERM INT
  touch /tmp/leaving
  echo "stopping in $drain s"
  sleep "$drain"
  kill -QUIT "$nginx"
  wait "$nginx"
  exit
}
trap leave QUIT TERM INT
trap 'kill -HUP "$nginx"' HUP

# Serves metrics to Prometheus on 9113, from conf.d/status.conf. nginx keeps running if the exporter
# ends. The options have two dashes, as newer exporters require.
while command -v prometheus-nginx-exporter >/dev/null; do
  # So that nginx listens before the first try.
  sleep 1
  prometheus-nginx-exporter --nginx.scrape-uri=http://127.0.0.1:8083/status \
    --web.listen-address=:9113 >/dev/null 2>&1 ||
    echo "the metrics exporter ended with status $?; restarting it in 5 s"
  sleep 5
done &

nginx -g 'daemon off;' "$@" &
nginx=$!
status=0
# `wait` returns at every signal, so wait until the process is gone.
while kill -0 "$nginx" 2>/dev/null; do
  wait "$nginx" && status=0 || status=$?
done
exit "$status"
