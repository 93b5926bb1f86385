#!/usr/bin/env bash
# An event with nothing but curl and jq: create it, mint a viewer's token, read a playlist, end it.
set -euo pipefail
: "${ODEON_URL:?is not set; run: eval \"\$(odeon env)\"}" "${ODEON_API_KEY:?is not set}"
curl=(curl --silent --show-error --fail-with-body ${ODEON_CA_FILE:+--cacert "$ODEON_CA_FILE"})

# call SERVICE/METHOD JSON: prints the answer; a refusal goes to standard error and ends the script.
call() {
  local answer
  answer=$("${curl[@]}" --header "Authorization: Bearer $ODEON_API_KEY" --json "$2" "$ODEON_URL/odeon.$1") || {
    echo "error: $1 failed: $(jq --raw-output '"\(.message) (\(.details[0].debug.reason))"' <<<"$answer")" >&2
    exit 1
  }
  echo "$answer"
}

created=$(call room.v1.RoomService/CreateEvent '{"event": {"title": "From a shell"}}')
event=$(jq --raw-output .event.name <<<"$created")
request=$(jq --null-input --arg name "$event" '{$name}')
end() { call room.v1.RoomService/EndEvent "$request" | jq --raw-output '.event | "\(.name): \(.state)"'; }
trap end EXIT
call room.v1.RoomService/StartEvent "$request" | jq --raw-output '.event | "\(.name): \(.state)"'
jq --raw-output '"watch: \(.links.watchUrl)"' <<<"$created"

# A token for one viewer, good for an hour; RevokeSession with its session takes it back.
minted=$(call auth.v1.AuthService/IssueToken "$(jq --null-input --arg event "$event" \
  '{kind: "TOKEN_KIND_PLAYBACK", $event, identity: "viewer-7", ttl: "3600s"}')")
jq --raw-output '"session: \(.sessionId), until \(.expireTime)"' <<<"$minted"

# It stands in the playlist's path: /t/<token>/<tenant>/<event>/main.m3u8.
jq --raw-output --argjson minted "$minted" \
  '"playlist: " + (.links.playlistUrl | sub("/t/[^/]+"; "/t/" + $minted.token))' <<<"$created"

# Nobody publishes into the new event yet. The demo event plays: enter it and read what players read.
if [ -n "${ODEON_EVENT:-}" ]; then
  entered=$(call room.v1.RoomService/EnterEvent "{\"name\": \"events/$ODEON_EVENT\"}")
  "${curl[@]}" "$(jq --raw-output .playlistUrl <<<"$entered")"
fi
