//! The Lua scripts that keep leases and versions in step: each runs as one atomic step in Redis.
//!
//! Beside each node stands the set of its *intents*, scored by deadline on Redis's own clock. The
//! invariant that all three keep: **while a write's intent is pending, its node does not outlive the
//! intent's deadline.** So a sidecar that is killed between the origin's commit and its bump needs
//! nobody to finish for it; Redis's own expiry deletes the node, and absent means miss. Intents are
//! counted, not implied by the node's lifetime: settling one write does not lift another's lease.
//!
//! Numbers go back to Redis formatted: a score may be read as `1.8e+12`, which is no integer to it.

use std::sync::OnceLock;

/// A script and the digest by which Redis knows it.
pub struct Script {
    /// Lua.
    pub text: &'static str,
    sha1: OnceLock<String>,
}

impl Script {
    const fn new(text: &'static str) -> Script {
        Script {
            text,
            sha1: OnceLock::new(),
        }
    }

    /// What `EVALSHA` takes.
    pub fn sha1(&self) -> &str {
        self.sha1.get_or_init(|| fred::util::sha1_hash(self.text))
    }
}

/// The key beside a node that holds its intents.
pub fn intents_of(node: &str) -> String {
    format!("{node}!")
}

/// Creates absent nodes, each with the token offered for it, and returns the versions of all. A value
/// that is no version, or no string, counts as absent and is replaced. A node made while intents are
/// pending lives no longer than the first of their deadlines.
///
/// `KEYS`: node, intents, node, intents …; `ARGV`: lifetime in ms, then a token for each node.
pub static SNAPSHOT: Script = Script::new(
    "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local versions = {}
for i = 1, #KEYS, 2 do
  local version = redis.pcall('GET', KEYS[i])
  if type(version) ~= 'string' or #version ~= 16 then
    version = ARGV[(i + 1) / 2 + 1]
    local life = tonumber(ARGV[1])
    local first = redis.call('ZRANGEBYSCORE', KEYS[i + 1], '(' .. string.format('%.0f', now), '+inf',
      'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then life = math.min(life, first[2] - now) end
    redis.call('SET', KEYS[i], version, 'PX', string.format('%.0f', life))
  end
  versions[(i + 1) / 2] = version
end
return versions",
);

/// Registers an intent on each node and lets the node live no longer than the first deadline. The
/// clearing away of old intents comes first: a full Redis refuses a script whose first write would
/// grow it, and then lets it finish.
///
/// `KEYS`: node, intents, node, intents …; `ARGV`: intent, duration in ms.
pub static LEASE: Script = Script::new(
    "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #KEYS, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', now)
  redis.call('ZADD', KEYS[i + 1], string.format('%.0f', now + ARGV[2]), ARGV[1])
  local first = redis.call('ZRANGE', KEYS[i + 1], 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', KEYS[i + 1], -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', KEYS[i + 1], string.format('%.0f', last[2]))
  local left = redis.call('PTTL', KEYS[i])
  if left == -1 or left > first[2] - now then
    redis.call('PEXPIREAT', KEYS[i], string.format('%.0f', first[2]))
  end
end
return 1",
);

/// Deletes the bumped nodes; unless the write's end is unknown, removes its intents and gives the
/// leased nodes that were not bumped their lifetime back, as far as other intents allow. A bumped one
/// has none to be given back: each inner call is billed by some providers.
///
/// `KEYS`: leased node, intents, leased node, intents …, then the bumped nodes; `ARGV`: intent, how
/// many leased nodes, `1` to leave the intents, lifetime in ms.
pub static SETTLE: Script = Script::new(
    "\
local leased = ARGV[2] * 2
local gone = {}
for i = leased + 1, #KEYS do
  redis.call('UNLINK', KEYS[i])
  gone[KEYS[i]] = true
end
if ARGV[3] == '1' then return 1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, leased, 2 do
  redis.call('ZREM', KEYS[i + 1], ARGV[1])
  if not gone[KEYS[i]] then
    redis.call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', now)
    local first = redis.call('ZRANGE', KEYS[i + 1], 0, 0, 'WITHSCORES')
    local life = tonumber(ARGV[4])
    if first[2] then life = math.min(life, first[2] - now) end
    redis.call('PEXPIRE', KEYS[i], string.format('%.0f', life))
  end
end
return 1",
);
