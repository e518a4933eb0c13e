# The rows that are not a comparison under load, each a function. Sourced by peers.sh.

# What each row is repeated for, where one sample could be luck.
samples=21

row_latency() {
  local name p50 direct
  title "Added by a pass-through, one request at a time"
  echo "| asked | p50 µs | added µs |"
  echo "| --- | --: | --: |"
  direct=$(alone origin)
  echo "| the origin itself | $direct | |"
  for name in $(installed nginx_proxy haproxy_proxy sidecache_memory sidecache_redis); do
    run "$name"
    verify "$name" pass /pass
    p50=$(alone "$name")
    echo "| ${label[$name]} | $p50 | $((p50 - direct)) |"
    stop "$name"
  done
  wanted "at most 150 µs added"
}

# The median of one connection's answers, in µs: the lower one of the rounds.
alone() {
  for _ in $(seq "$rounds"); do
    taskset -c "$other_core" wrk -t1 -c1 -d"$seconds"s -s "$here/wrk.lua" "$(url "$1" /pass)"
  done | awk '/^result/ { print $5 }' | sort -n | head -n 1
}

row_rate() {
  local name p50 p99
  title "Hits at 5,000 requests a second, whether or not the answers keep up"
  echo "| what answers | p50 µs | p99 µs |"
  echo "| --- | --: | --: |"
  for name in $(installed sidecache_memory sidecache_local sidecache_redis nginx_cache haproxy_cache); do
    run "$name"
    verify "$name" hit /item/1
    for _ in $(seq "$rounds"); do
      taskset -c "$other_core" "$REFERENCE_BIN" load "${port[$name]}" /item/1 --seconds "$seconds"
    done >"$work/results"
    read -r p50 p99 < <(awk '{ a += $1; b += $2 } END { print int(a / NR), int(b / NR) }' "$work/results")
    echo "| ${label[$name]} | $p50 | $p99 |"
    stop "$name"
  done
  wanted "p99 below 2 ms from memory, below 5 ms where Redis is asked"
}

row_prefix() {
  local many=1000000
  title "A write that drops a prefix"
  echo "| entries beneath | the write, ms | median of $samples later ones, ms | Redis commands | with those inside of scripts |"
  echo "| --: | --: | --: | --- | --- |"
  run sidecache_redis
  drop_over 10
  drop_over "$many"
  stop sidecache_redis
  wanted "the same commands and the same time"
}

# drop_over COUNT: the first write really makes so many answers unreachable.
drop_over() {
  local beneath first later
  redis flushall >/dev/null
  write >/dev/null # after which Redis has its scripts
  fill "$1"
  beneath=$(kept | wc -l)
  watch_redis
  first=$(write)
  unwatch_redis
  ask sidecache_redis /item/1
  grep -qi 'fwd=miss' "$work/head" || fail "an entry outlived the write that dropped it"
  later=$(for _ in $(seq "$samples"); do
    ask sidecache_redis /item/1
    write
  done | median)
  echo "| $beneath | $first | $later | $(commands) | $(commands lua) |"
}

# Milliseconds that a write takes.
write() { curl -sf -o /dev/null -w '%{time_total}\n' -X POST "$(url sidecache_redis /items)" | awk '{ printf "%.2f\n", $1 * 1000 }'; }

# fill COUNT: asks for as many answers as can be asked for one by one; the rest are copies of these, which
# are the same to Redis.
fill() {
  local asked=$(($1 < 100 ? $1 : 100)) upto n
  for n in $(seq "$asked"); do ask sidecache_redis "/item/$n"; done
  eventually "the answers are kept" kept "$asked"
  mapfile -t names < <(kept)
  for upto in $(seq 10000 10000 "$1"); do # in portions, between which Redis answers others
    redis eval "for n = math.max(#KEYS + 1, ARGV[1] - 9999), ARGV[1] do
      redis.call('copy', KEYS[n % #KEYS + 1], 'sidecache_redis:item:' .. n .. '#copy')
    end" "$asked" "${names[@]}" "$upto" >/dev/null
  done
}

# The names of the answers kept; with a number, whether they are so many.
kept() {
  redis keys '*:item:*#*' | if [ $# = 0 ]; then cat; else [ "$(wc -l)" = "$1" ]; fi
}

row_stampede() {
  local n before times
  run sidecache_redis && run sidecache_other
  title "A hundred requests at once for a key that nobody has, over two sidecars"
  echo "| round | answered 200 | origin requests |"
  echo "| --: | --: | --: |"
  for n in 1 2 3 4 5; do
    before=$(asked)
    times=$(stampede sidecache_redis sidecache_other "/slow/$n" | grep -c '^200$')
    echo "| $n | $times | $(($(asked) - before)) |"
  done
  stop sidecache_redis sidecache_other
  wanted "one request to the origin"
}

# stampede ONE OTHER PATH: fifty requests to each at once, for the same host; prints the statuses.
stampede() {
  for _ in $(seq 50); do
    printf 'url = "%s"\noutput = /dev/null\n' "$(url "$1" "$3")" "$(url "$2" "$3")"
  done | curl --no-progress-meter --parallel --parallel-immediate --parallel-max 100 -H 'Host: bench' \
    -w '%{http_code}\n' -K -
}

row_large() {
  local gib=$((1 << 30)) before
  run sidecache_memory
  ask sidecache_memory /item/1
  title "1 GiB passing through"
  echo "| what | resident before, KiB | most while it passed, KiB | grown by, MiB |"
  echo "| --- | --: | --: | --: |"
  before=$(forget_peak sidecache_memory)
  [ "$(curl -s "$(url sidecache_memory "/large/$gib")" | wc -c)" = "$gib" ] || fail "the answer was cut"
  grown answer "$before" "$(peak sidecache_memory)"
  truncate -s "$gib" "$work/upload"
  before=$(forget_peak sidecache_memory)
  [ "$(curl -s -X PUT -T "$work/upload" "$(url sidecache_memory /sink)")" = "$gib" ] || fail "the upload was cut"
  grown upload "$before" "$(peak sidecache_memory)"
  stop sidecache_memory
  run sidecache_large
  ask sidecache_large /item/1
  before=$(forget_peak sidecache_large)
  [ "$(curl -s -D "$work/head" "$(url sidecache_large "/large/$gib")" | wc -c)" = "$gib" ] || fail "the answer was cut"
  grep -qi '^cache-status: sidecache; fwd=.*miss.*detail=too-large' "$work/head" || fail "no rule was asked: $(cat "$work/head")"
  grown "answer under a rule, before Redis" "$before" "$(peak sidecache_large)"
  stop sidecache_large
  wanted "at most 8 MiB more"
}

row_streams() {
  if [ ! -x "$(command -v node)" ]; then
    say "streams is left out: there is no node"
    return
  fi
  port[streams]=$(free_port)
  start streams "$other_core" node "$here/streams.mjs" origin "${port[streams]}"
  run sidecache_streams
  title "Streams that go on"
  echo "| what | resident before, KiB | most meanwhile, KiB | grown by, MiB |"
  echo "| --- | --: | --: | --: |"
  streamed events "two hundred streams of server-sent events, 50 KB a second each, for 18 s"
  streamed tunnel "a WebSocket, 512 MiB there and back"
  stop sidecache_streams streams
}

# streamed MODE WHAT: what streams.mjs reads through the sidecar.
streamed() {
  local before bytes
  before=$(forget_peak sidecache_streams)
  bytes=$(taskset -c "$other_core" node "$here/streams.mjs" "$1" "${port[sidecache_streams]}")
  [ "$bytes" -gt $((100 << 20)) ] || fail "of $2 only $bytes bytes came"
  grown "$2 ($((bytes >> 20)) MiB came)" "$before" "$(peak sidecache_streams)"
}

grown() { awk -v what="$1" -v a="$2" -v b="$3" 'BEGIN { printf "| %s | %d | %d | %.1f |\n", what, a, b, (b - a) / 1024 }'; }

# Prints what is resident now, in KiB, and has the kernel measure the peak from here on.
forget_peak() {
  echo 5 >"/proc/${pid[$1]}/clear_refs"
  resident "$1" VmRSS
}
peak() { resident "$1" VmHWM; }
resident() { awk -v what="$2:" '$1 == what { print $2 }' "/proc/${pid[$1]}/status"; }

row_tier() {
  local name bytes base evictions
  title "The local tier filled to its \`max\` of 64 MiB, and churned"
  echo "| store | answers of | resident at first, MiB | full, MiB | bound, MiB |"
  echo "| --- | --: | --: | --: | --: |"
  for name in sidecache_memory sidecache_local; do
    for bytes in 200 2000 20000 200000 1000000; do
      run "$name"
      base=$(resident "$name" VmRSS)
      evictions=$((1 << 30 > 10000 * bytes ? 10000 : (1 << 30) / bytes)) # a gigabyte of large ones
      until [ "$(metric "$name" local_evictions_total)" -gt "$evictions" ]; do
        load "$name" miss "/sized/$bytes" 2 >/dev/null
      done
      awk -v name="${label[$name]}" -v bytes="$bytes" -v base="$base" -v full="$(resident "$name" VmRSS)" \
        'BEGIN { printf "| %s | %d bytes | %.1f | %.1f | %.1f |\n", name, bytes, base / 1024, full / 1024, 64 * 1.3 + base / 1024 }'
      stop "$name"
      redis flushall >/dev/null
    done
  done
  wanted "at most 1.3 times \`max\` and what is resident without it"
}

metric() { curl -s "$(url "$1.admin" /metrics)" | awk -v name="sidecache_$2" '$1 == name { print int($2) }'; }

row_start() {
  local n
  title "Start"
  echo "| | |"
  echo "| --- | --: |"
  for n in $(seq "$samples"); do first_answer; done | median |
    sed 's/.*/| from the start of the process to its first answer, ms | & |/'
  for n in 1 2 3; do run sidecache_memory && resident sidecache_memory VmRSS && stop sidecache_memory; done | median |
    awk '{ printf "| resident when idle, MiB | %.1f |\n", $1 / 1024 }'
  stat -c %s "$SIDECACHE_BIN" | awk '{ printf "| binary, MiB | %.1f |\n", $1 / 1048576 }'
  wanted "an answer within 50 ms, 16 MiB resident, a binary of 12 MiB"
}

# Milliseconds until a new process has answered a request, which is asked every millisecond.
first_answer() {
  local begun answer= name=sidecache_memory
  port[$name]=$(free_port)
  sidecache_rules "$name" memory: 64MiB 0s
  begun=${EPOCHREALTIME/./}
  taskset -c "$server_core" "$SIDECACHE_BIN" --rules "$work/$name.toml" >/dev/null 2>&1 &
  pid[$name]=$!
  until [ -n "$answer" ]; do
    { exec 3<>"/dev/tcp/127.0.0.1/${port[$name]}"; } 2>/dev/null || { sleep 0.001 && continue; }
    printf 'GET /pass HTTP/1.1\r\nHost: a\r\n\r\n' >&3
    read -r answer <&3
    exec 3>&-
  done
  awk -v us=$((${EPOCHREALTIME/./} - begun)) 'BEGIN { printf "%.1f\n", us / 1000 }'
  stop "$name"
}

row_commands() {
  run sidecache_redis && run sidecache_local && run sidecache_local_ttl
  write >/dev/null # after which Redis has its scripts
  title "Redis commands"
  echo "| request | commands | with those inside of scripts |"
  echo "| --- | --- | --- |"
  counted "hit" sidecache_redis warm GET /item/1
  counted "hit, body local" sidecache_local warm GET /item/1
  counted "hit within \`local_ttl\`" sidecache_local_ttl warm GET /item/1
  counted "hit of an answer with \`Vary\`" sidecache_redis warm GET /varied/1
  counted "miss" sidecache_redis cold GET "/item/$RANDOM$RANDOM"
  counted "write" sidecache_redis cold POST /items
  counted "pass" sidecache_redis cold GET /pass
  stop sidecache_redis sidecache_local sidecache_local_ttl
  wanted "one command for a hit, none within \`local_ttl\`, four for a miss, two round trips for a write"
}

# counted WHAT NAME warm|cold METHOD PATH: what one request made Redis do.
counted() {
  local n
  [ "$3" = cold ] || for n in 1 2 3 4 5; do
    ask "$2" "$5"
    sleep 0.05 # what follows an answer, such as keeping it, is not the next request's
  done
  watch_redis
  ask "$2" "$5" -X "$4"
  sleep 0.2
  unwatch_redis
  echo "| $1 | $(commands) | $(commands lua) |"
}

# From here on what Redis does is written down, in the order in which it does it.
watch_redis() {
  : >"$work/monitor"
  redis-cli -p "${port[redis]}" monitor >>"$work/monitor" &
  pid[monitor]=$!
  eventually "Redis tells what it does" grep -q OK "$work/monitor"
}

unwatch_redis() {
  redis echo that-was-all >/dev/null
  eventually "Redis told what it did" grep -q that-was-all "$work/monitor"
  stop monitor
}

# commands [lua]: how many there were, and which; with `lua`, those inside of scripts too.
commands() {
  awk -v inner="${1:-}" '
    $1 == "OK" || $4 ~ /"(PING|HELLO|CLIENT|echo|ECHO)"/ || ($3 == "lua]" && !inner) { next }
    { gsub(/"/, "", $4); n++; if (!seen[toupper($4)]++) names[++m] = toupper($4) }
    END {
      printf "%d", n
      for (i = 1; i <= m; i++) {
        times = seen[names[i]]
        printf "%s%s%s", (i == 1 ? ": " : ", "), (times == 1 ? "" : times " "), names[i]
      }
    }' "$work/monitor"
}

title() {
  say "$1"
  printf '\n### %s\n\n' "$1"
}

# What the table before is held against.
wanted() { printf '\nWanted: %s.\n' "$1"; }

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
