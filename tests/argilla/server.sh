#!/bin/sh
# A real Argilla server on the loopback device, for tests/argilla/real.rs.
#
# Real: argilla-server 2.8.0 (its routes, schemas, validators, policies and database, which is
# SQLite here) and redis. Stood in: OpenSearch, by search_stand_in.py, which finds nothing.
#
#   pip install argilla-server==2.8.0 'click<8.2'   # its own lines ask for no bound, and need one
#   PYTHON=venv/bin/python tests/argilla/server.sh FOLDER [PORT]
#
# It stays in the foreground and ends what it started when it is ended. In another shell:
#
#   STILLROOM_ARGILLA_URL=http://127.0.0.1:PORT cargo test --test argilla real
#
# PORT is 6900 when not given; the two ports above it are taken for redis and the stand-in. All
# state is below FOLDER. The keys are in the lines below: they guard nothing.
set -eu
folder=$1
port=${2:-6900}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"

export ARGILLA_HOME_PATH="$folder"
export ARGILLA_SEARCH_ENGINE=opensearch
export ARGILLA_ELASTICSEARCH="http://127.0.0.1:$((port + 2))"
export ARGILLA_REDIS_URL="redis://127.0.0.1:$((port + 1))/0"
export HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_OFFLINE=1

"${REDIS_SERVER:-redis-server}" --port $((port + 1)) --bind 127.0.0.1 --save '' --dir "$folder" \
    > "$folder/redis.log" 2>&1 &
redis=$!
"$python" "$here/search_stand_in.py" $((port + 2)) > "$folder/search.log" 2>&1 &
search=$!
trap 'kill $redis $search 2> /dev/null' EXIT

"$python" -m argilla_server database migrate > "$folder/migrate.log" 2>&1
if [ ! -e "$folder/users" ]; then
    user() {
        "$python" -m argilla_server database users create --first-name "$1" --username "$1" \
            --password 12345678 --api-key "$1.key" --role "$1" --workspace "$2" \
            >> "$folder/users.log" 2>&1
    }
    user owner review
    user admin review
    user annotator review
    "$python" -m argilla_server database users create --first-name other --username other \
        --password 12345678 --api-key other.key --role annotator --workspace review \
        >> "$folder/users.log" 2>&1
    touch "$folder/users"
fi
"$python" -m uvicorn argilla_server:app --host 127.0.0.1 --port "$port" --log-level warning
