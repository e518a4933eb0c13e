//! The Lua scripts that keep leases and versions in step: each runs as one atomic step in Redis.
//!
//! Beside each node stands the set of its *intents*, scored by deadline on Redis's own clock. The
//! invariant that all three keep: **while a write's intent is pending, its node does not outlive the
//! intent's deadline.** So a sidecar that is killed between the origin's commit and its bump needs
//! nobody to finish for it; Redis's own expiry deletes the node, and absent means miss. Intents are
//! counted, not implied by the node's lifetime: settling one write does not lift another's lease.
//!
//! One node is more than a version: the root, whose value is a token and the layouts whose entries may
//! live under it ([`super::root`]). The second invariant: **whoever is not in the root's register enters
//! it before his fill asks the origin, and whoever drops nodes drops a root that lists others in the
//! same step.** So an entry that the writer's rules know nothing of is dropped before his client hears
//! of the write. A lease covers the root where it listed others by then; one who enters it later is
//! seen when the write is settled, but not if nobody lives to settle it: then nobody was told either.
//!
//! Numbers go back to Redis formatted: a score may be read as `1.8e+12`, which is no integer to it.
//!
//! Each counts its own calls, which some providers bill one by one, and returns its answer and their number.
//! So each is written to need few of them: what takes several keys is called once.

use std::sync::OnceLock;

/// A script and the digest by which Redis knows it.
pub struct Script {
    /// Lua.
    pub text: &'static str,
    /// Whether it is run whatever a budget says: all but what reading needs.
    pub is_due: bool,
    sha1: OnceLock<String>,
}

impl Script {
    const fn new(text: &'static str) -> Script {
        Script {
            text,
            is_due: true,
            sha1: OnceLock::new(),
        }
    }

    const fn for_reads(text: &'static str) -> Script {
        Script {
            text,
            is_due: false,
            sha1: OnceLock::new(),
        }
    }

    /// What `EVALSHA` takes.
    pub fn sha1(&self) -> &str {
        self.sha1.get_or_init(|| fred::util::sha1_hash(self.text))
    }
}

/// A script's text, in which `call` and `try` stand for Redis's own, and `calls` is how many there were.
macro_rules! counted {
    ($text:literal) => {
        concat!(
            "local calls = 0\n",
            "local function call(...)\n  calls = calls + 1\n  return redis.call(...)\nend\n",
            "local function try(...)\n  calls = calls + 1\n  return redis.pcall(...)\nend\n",
            $text
        )
    };
}

/// The key beside a node that holds its intents.
pub fn intents_of(node: &str) -> String {
    format!("{node}!")
}

/// Creates absent nodes, each with the token offered for it, and returns the values of all. A value
/// that is no node's, or no string, counts as absent and is replaced. A node made while intents are
/// pending lives no longer than the first of their deadlines. The layout is entered in the root, whose
/// token and lifetime stay; a register that is full is replaced. Of the root the token is returned.
///
/// Whoever creates a node may take the lock on what is fetched under the versions that come of it, in the
/// same step: its name is made of them, so if they are as foretold nobody else can have it, and if they
/// are not nobody asks for it.
///
/// `KEYS`: node, intents, node, intents …, perhaps a lock; `ARGV`: lifetime in ms, the root's name, the
/// layout, bytes of a full register, then a token for each node, then the lock's value and its lifetime
/// in ms.
pub static SNAPSHOT: Script = Script::for_reads(counted!(
    "\
local layout = ARGV[3]
local last, created = #KEYS - #KEYS % 2, false
local nodes = {}
for i = 1, last, 2 do nodes[#nodes + 1] = KEYS[i] end
local values = call('MGET', unpack(nodes))
local now, pending
local function entered(value)
  for at = 17, #value, 16 do
    if string.sub(value, at, at + 15) == layout then return true end
  end
  return false
end
local function any_pending()
  local intents = {}
  for i = 2, last, 2 do intents[#intents + 1] = KEYS[i] end
  return call('EXISTS', unpack(intents)) > 0
end
local function deadline(i)
  if not now then
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local first = call('ZRANGEBYSCORE', KEYS[i + 1], '(' .. string.format('%.0f', now), '+inf',
    'WITHSCORES', 'LIMIT', 0, 1)
  return first[2] and first[2] - now
end
local function create(i, value)
  local life = tonumber(ARGV[1])
  if pending == nil then pending = any_pending() end
  if pending then life = math.min(life, deadline(i) or life) end
  call('SET', KEYS[i], value, 'PX', string.format('%.0f', life))
  created = true
  return value
end
local versions = {}
for i = 1, last, 2 do
  local value = values[(i + 1) / 2]
  local token = ARGV[(i + 1) / 2 + 4]
  local known = type(value) == 'string'
  if KEYS[i] ~= ARGV[2] then
    if not known or #value < 16 or #value % 16 ~= 0 then value = create(i, token) end
  elseif not known or #value < 32 or #value % 16 ~= 0 then
    value = create(i, token .. layout)
  elseif not entered(value) then
    if #value < tonumber(ARGV[4]) then
      call('APPEND', KEYS[i], layout)
    else
      value = create(i, token .. layout)
    end
  end
  if KEYS[i] == ARGV[2] then value = string.sub(value, 1, 16) end
  versions[(i + 1) / 2] = value
end
if created and #KEYS > last then
  call('SET', KEYS[#KEYS], ARGV[#ARGV - 1], 'PX', ARGV[#ARGV])
end
return {versions, calls}"
));

/// Registers an intent on each node and lets the node live until the first deadline: it would have lived longer,
/// but for the last moments of its life, and may. The clearing away of old intents comes first: a full Redis
/// refuses a script whose first write would grow it, and then lets it finish. A root in which others than the layout stand is one of the nodes,
/// whether or not the write names it; returns 1 if it is.
///
/// `KEYS`: node, intents, node, intents …, the root, its intents; `ARGV`: intent, duration in ms, the
/// layout.
pub static LEASE: Script = Script::new(counted!(
    "\
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last, shared = #KEYS - 2, 0
local root = try('GET', KEYS[last + 1])
if type(root) == 'string' and string.sub(root, 17) ~= ARGV[3] then last, shared = #KEYS, 1 end
local function clear(i) call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', now) end
for i = 1, last, 2 do
  if i == 1 then clear(i) end
  call('ZADD', KEYS[i + 1], string.format('%.0f', now + ARGV[2]), ARGV[1])
  local all = call('ZRANGE', KEYS[i + 1], 0, 1, 'WITHSCORES')
  if tonumber(all[2]) <= now then
    clear(i)
    all = call('ZRANGE', KEYS[i + 1], 0, 1, 'WITHSCORES')
  end
  local latest = all[2]
  if all[4] then latest = call('ZRANGE', KEYS[i + 1], -1, -1, 'WITHSCORES')[2] end
  call('PEXPIREAT', KEYS[i + 1], string.format('%.0f', latest))
  call('PEXPIREAT', KEYS[i], string.format('%.0f', all[2]))
end
return {shared, calls}"
));

/// Deletes the bumped nodes and, where there are any, soft ones too, a root in which others than the
/// layout stand; returns 1 if it did. A soft one that is there keeps its token and its lifetime, and the
/// moment is added behind it ([`super::node`]); where that cannot be done it is deleted. Unless the
/// write's end is unknown, removes its intents and gives the
/// leased nodes that were not deleted their lifetime back, as far as other intents allow. A deleted one
/// has none to be given back: each inner call is billed by some providers. All that was dropped is told
/// to a channel if one is given; a user who may not publish is served all the same.
///
/// `KEYS`: leased node, intents, leased node, intents …, the root, then the bumped nodes, then the soft
/// ones, neither the root nor bumped; `ARGV`: intent, how many leased nodes, `1` to leave the intents,
/// lifetime in ms, the layout, how many soft nodes, bytes of all moments that a node lists, how many
/// microseconds a moment may be ahead, perhaps a channel.
pub static SETTLE: Script = Script::new(counted!(
    "\
local leased = ARGV[2] * 2
local root = KEYS[leased + 1]
local last = #KEYS - ARGV[6]
local gone = {}
for i = leased + 2, last do gone[KEYS[i]] = true end
for i = leased + 2, last, 1000 do call('UNLINK', unpack(KEYS, i, math.min(i + 999, last))) end
local time
local function now()
  time = time or call('TIME')
  return time[1] * 1000000 + time[2]
end
local function soften(node)
  local value = try('GET', node)
  if not value then return end
  if type(value) == 'string' and #value >= 16 and #value % 16 == 0 then
    local moments = string.sub(value, 17)
    local at = math.max(now(), (tonumber(string.sub(moments, -16)) or 0) + 1)
    if #moments >= tonumber(ARGV[7]) then
      moments = string.sub(moments, 1, 16) .. string.sub(moments, 33)
    end
    moments = moments .. string.format('%016.0f', at)
    local is_told = at <= now() + ARGV[8]
    if is_told and type(try('SETRANGE', node, 16, moments)) == 'number' then return end
  end
  call('UNLINK', node)
end
for i = last + 1, #KEYS do soften(KEYS[i]) end
local everything = 0
if #KEYS > leased + 1 and not gone[root] then
  local value = try('GET', root)
  if type(value) == 'string' and string.sub(value, 17) ~= ARGV[5] then
    call('UNLINK', root)
    gone[root] = true
    everything = 1
  end
end
if ARGV[9] and #KEYS > leased + 1 then
  local told = table.concat(KEYS, '\\n', leased + 2)
  if everything == 1 then told = told .. '\\n' .. root end
  try('PUBLISH', ARGV[9], told)
end
if ARGV[3] == '1' then return {everything, calls} end
for i = 1, leased, 2 do
  call('ZREM', KEYS[i + 1], ARGV[1])
  if not gone[KEYS[i]] then
    local ms = math.floor(now() / 1000)
    local first = call('ZRANGEBYSCORE', KEYS[i + 1], '(' .. string.format('%.0f', ms), '+inf',
      'WITHSCORES', 'LIMIT', 0, 1)
    local life = tonumber(ARGV[4])
    if first[2] then life = math.min(life, first[2] - ms) end
    call('PEXPIRE', KEYS[i], string.format('%.0f', life))
  end
end
return {everything, calls}"
));

/// Whether any of these sets of intents has one that is pending.
///
/// `KEYS`: the intents of nodes.
pub static PENDING: Script = Script::for_reads(counted!(
    "\
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for _, intents in ipairs(KEYS) do
  local first = call('ZRANGEBYSCORE', intents, '(' .. now, '+inf', 'LIMIT', 0, 1)
  if first[1] then return {1, calls} end
end
return {0, calls}"
));

/// What some fields of a hash hold: of as many, in the order in which they are named, as have room in one reply,
/// behind which whoever asks for answers does not wait long; of the first in any case. What is longer than any of
/// ours is left empty, and what is not there is nil.
///
/// `KEYS`: the hash; `ARGV`: bytes of a reply, bytes of a field, then the names.
pub static FIELDS: Script = Script::new(counted!(
    "\
local held = call('HMGET', KEYS[1], unpack(ARGV, 3))
local told, room = {}, tonumber(ARGV[1])
for at, value in ipairs(held) do
  if value and #value > tonumber(ARGV[2]) then value = '' end
  if value then room = room - #value end
  if room < 0 and at > 1 then break end
  told[at] = value
end
return {told, calls}"
));

/// Writes a field of a hash and takes others away, whose sum it is, unless one of them is not as it was
/// read: see [`super::Store::fold_fields`]. Of a hash without others it makes one call less.
///
/// `KEYS`: the hash; `ARGV`: its lifetime in ms, the field, what it held (empty: nothing), what it is to hold,
/// then each other with what it held (empty: whatever).
pub static FOLD: Script = Script::new(counted!(
    "\
local names = {ARGV[2]}
for i = 5, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local held = call('HMGET', KEYS[1], unpack(names))
if (held[1] or '') ~= ARGV[3] then return {0, calls} end
for i = 5, #ARGV, 2 do
  if ARGV[i + 1] ~= '' and held[(i - 1) / 2] ~= ARGV[i + 1] then return {0, calls} end
end
call('HSET', KEYS[1], ARGV[2], ARGV[4])
if #names > 1 then call('HDEL', KEYS[1], unpack(names, 2)) end
call('PEXPIRE', KEYS[1], ARGV[1])
return {1, calls}"
));

/// Counts a request by every counter, each with a window that begins with its first request, unless one of
/// them has its most already: then by none, and nothing is written. A value that is no count of ours counts as
/// absent and is replaced; a window that lasts longer than it should, or for ever, is given its length.
///
/// Returns whether it was counted, then for each counter how many were, and the milliseconds left.
///
/// `KEYS`: the counters; `ARGV`: for each its most, and the length of its window in ms.
pub static COUNT: Script = Script::new(counted!(
    "\
local used, fits = {}, 1
for i = 1, #KEYS do
  local value = try('GET', KEYS[i])
  local known = type(value) == 'string' and #value <= 15 and string.match(value, '^%d+$')
  used[i] = known and tonumber(value) or 0
  if used[i] >= tonumber(ARGV[2 * i - 1]) then fits = 0 end
end
local told = {fits}
for i = 1, #KEYS do
  local window = tonumber(ARGV[2 * i])
  local left = window
  if used[i] == 0 then
    if fits == 1 then
      call('SET', KEYS[i], '1', 'PX', ARGV[2 * i])
      used[i] = 1
    end
  else
    left = call('PTTL', KEYS[i])
    if fits == 1 then used[i] = call('INCR', KEYS[i]) end
    if left < 0 or left > window then
      call('PEXPIRE', KEYS[i], ARGV[2 * i])
      left = window
    end
  end
  told[2 * i] = used[i]
  told[2 * i + 1] = left
end
return {told, calls}"
));
