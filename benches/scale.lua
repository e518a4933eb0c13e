-- For wrk: asks what is below a path by number, and prints what came of it as wrk.lua does. Numbers have
-- seven digits, so that all requests are of one length.
--
--   each FROM       one after the other, from there on
--   among COUNT     any of so many, by chance

function init(arguments)
  local mode, number = arguments[1], tonumber(arguments[2])
  if not number then return end
  math.randomseed(number)
  local asked = number - 1
  local next = {
    each = function()
      asked = asked + 1
      return asked
    end,
    among = function() return math.random(number) end,
  }
  local stem = wrk.path
  request = function() return wrk.format(nil, string.format("%s/%07d", stem, next[mode]())) end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("\nresult %d %d %d %d %d\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
