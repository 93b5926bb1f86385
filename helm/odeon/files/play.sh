#!/bin/sh
# Plays an event as somebody in the audience would: created, published by WHIP, watched through an edge.
set -eu
event="helm-test-$(date +%s)"
publisher=

finish() {
  [ -z "$publisher" ] || kill "$publisher" 2>/dev/null || true
  odeon events end "$event" || true
}

# What it prints has tokens in it, and a pod's log has many readers.
odeon events create "Test of the installation" --id "$event" --start >/dev/null
trap finish EXIT
ODEON_PUBLISH_TOKEN=$(odeon token publish "$event")
export ODEON_PUBLISH_TOKEN
odeon publish --test-card --size 640x360 --frame-rate 15 --url "$ODEON_URL/whip/$event" --json \
  >/tmp/publish.log 2>&1 &
publisher=$!

playlist="$EDGE_URL/t/$(odeon token playback "$event")/default/$event/main.m3u8"
tries=0
until odeon watch "$playlist" --seconds 5 --json; do
  tries=$((tries + 1))
  if [ "$tries" -ge 20 ] || ! kill -0 "$publisher" 2>/dev/null; then
    echo "nothing could be watched; the publisher says:" >&2
    tail -n 5 /tmp/publish.log >&2
    exit 1
  fi
  sleep 2
done
