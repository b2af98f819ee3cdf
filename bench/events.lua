-- Posts the events of a file, each once: a line holds the signature, a tab and the body.
local posted = {}
local nextone = 0

function init(args)
  for line in io.lines(args[1]) do
    local signature, body = line:match("^([^\t]+)\t(.*)$")
    local headers = { ["Content-Type"] = "application/json", ["Stripe-Signature"] = signature }
    posted[#posted + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  nextone = nextone % #posted + 1
  return posted[nextone]
end

function done(summary, latency)
  local refused = summary.errors.status + summary.errors.connect + summary.errors.read
      + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d\n", summary.requests, refused, summary.duration))
end
