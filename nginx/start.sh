#!/bin/sh
# Writes the rates from the environment, and becomes nginx.
set -eu
export UPLOADS_PER_MINUTE="${UPLOADS_PER_MINUTE:-120}" RENDERS_PER_SECOND="${RENDERS_PER_SECOND:-50}"
for number in "$UPLOADS_PER_MINUTE" "$RENDERS_PER_SECOND"; do
  case $number in
  '' | *[!0-9]* | 0*) echo "UPLOADS_PER_MINUTE and RENDERS_PER_SECOND are whole numbers from 1; one is '$number'" >&2; exit 2 ;;
  esac
done
envsubst '${UPLOADS_PER_MINUTE} ${RENDERS_PER_SECOND}' </etc/nginx/rates.conf.template >/tmp/rates.conf
exec nginx -g 'daemon off;' "$@"
