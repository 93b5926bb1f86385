#!/bin/sh
# Makes the database when there is none, and serves it. A start that is cut off anywhere leaves
# nothing behind that the next one would take for a database.
set -eu

# Statements on standard input, one a line, without a server: nobody can connect meanwhile.
alone() {
  postgres --single -j -D "$1" -c log_min_messages=fatal postgres >/dev/null
}

password=$(printf %s "$POSTGRESQL_PASSWORD" | sed "s/'/''/g")

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  new="$PGDATA.new"
  rm -rf "$new"
  initdb --pgdata="$new" --username=postgres --auth-local=peer --auth-host=reject \
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  for database in auth room; do
    printf 'CREATE DATABASE %s;\n\n' "$database" | alone "$new"
  done
  printf 'CREATE ROLE odeon LOGIN;\n\nALTER DATABASE auth OWNER TO odeon;\n\nALTER DATABASE room OWNER TO odeon;\n\n' |
    alone "$new"
  cat >"$new/pg_hba.conf" <<'HBA'
local all postgres peer
host auth odeon all scram-sha-256
host room odeon all scram-sha-256
HBA
  mv "$new" "$PGDATA"
fi

chmod 0700 "$PGDATA"
# The Secret says which password holds, also after it was changed.
printf "ALTER ROLE odeon PASSWORD '%s';\n\n" "$password" | alone "$PGDATA"
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
