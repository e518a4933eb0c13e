-- For wrk: prints what came of it in one line, times in microseconds.
--
--   unique         each request asks a path of its own
--   among COUNT    any of so many below the path, by chance

function init(arguments)
  local mode, count = arguments[1], tonumber(arguments[2])
  if mode == "among" then
    math.randomseed(count)
    request = function() return wrk.format(nil, wrk.path .. "/" .. math.random(count)) end
  end
  if mode ~= "unique" then return end
  local stem = string.format("%s/%d-%d-", wrk.path, os.time(), math.floor(os.clock() * 1e6))
  local asked = 0
  request = function()
    asked = asked + 1
    return wrk.format(nil, stem .. asked)
  end
end

function done(summary, latency)
  local failed = {}
  for kind, times in pairs(summary.errors) do
    if times > 0 then table.insert(failed, kind .. ":" .. times) end
  end
  io.write(string.format("\nresult %d %d %s %d %d\n", summary.requests, summary.duration,
    #failed == 0 and "none" or table.concat(failed, ","), latency:percentile(50), latency:percentile(99)))
end
