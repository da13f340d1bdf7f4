#!/bin/sh
# Writes the rates from the environment, starts nginx and what measures it, and lets it leave without a failed request:
# from a stop on, health checks are told 503 for DRAIN_SECONDS (3) while all else is still answered, so that nobody sends
# an upload into a connection that is about to close.
set -eu
export UPLOADS_PER_MINUTE="${UPLOADS_PER_MINUTE:-120}" RENDERS_PER_SECOND="${RENDERS_PER_SECOND:-50}"
for number in "$UPLOADS_PER_MINUTE" "$RENDERS_PER_SECOND"; do
  case $number in
  '' | *[!0-9]* | 0*) echo "UPLOADS_PER_MINUTE and RENDERS_PER_SECOND are whole numbers from 1; one is '$number'" >&2; exit 2 ;;
  esac
done
envsubst '${UPLOADS_PER_MINUTE} ${RENDERS_PER_SECOND}' </etc/nginx/rates.conf.template >/tmp/rates.conf
rm -f /tmp/leaving

leave() {
  trap '' QUIT TERM INT
  touch /tmp/leaving
  echo "leaving in ${DRAIN_SECONDS:-3} s"
  sleep "${DRAIN_SECONDS:-3}"
  kill -QUIT "$nginx"
  wait "$nginx"
  exit
}
trap leave QUIT TERM INT
trap 'kill -HUP "$nginx"' HUP

# Answers Prometheus on 9113, from conf.d/status.conf. Its end is nothing to nginx. `--`: as newer ones want it.
while command -v prometheus-nginx-exporter >/dev/null; do
  # The first try may come before nginx listens.
  sleep 1
  prometheus-nginx-exporter --nginx.scrape-uri=http://127.0.0.1:8083/status --web.listen-address=:9113 >/dev/null 2>&1 ||
    echo "the exporter of metrics ended with $?; again in 5 s"
  sleep 5
done &

nginx -g 'daemon off;' "$@" &
nginx=$!
status=0
# Returns at each signal.
while kill -0 "$nginx" 2>/dev/null; do
  wait "$nginx" && status=0 || status=$?
done
exit "$status"
