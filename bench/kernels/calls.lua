-- A loop around small functions that call one another; LuaJIT takes them into its traces.
local bit = require("bit")
local arshift, band, bxor = bit.arshift, bit.band, bit.bxor

local function mix(a, b)
  return bxor(a, b) * 31 + arshift(a, 3)
end

local function clamp(x, low, high)
  if x < low then
    return low
  end
  if x > high then
    return high
  end
  return x
end

local function average(a, b, c)
  return arshift(a + b + c, 2)
end

local function turn(state, i)
  local mixed = mix(state, i)
  local clamped = clamp(mixed, -100000LL, 100000LL)
  return band(average(mixed, clamped, i), 0xffffff)
end

return function(n)
  local state = 1LL
  local i = 0LL
  while i < n do
    state = turn(state, i) + mix(i, state)
    i = i + 1
  end
  return state
end
