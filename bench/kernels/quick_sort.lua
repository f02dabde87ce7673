-- Sorts n numbers, which it makes first and are below 2^53, by Hoare's partition and two calls.
local bit = require("bit")
local arshift, rshift = bit.arshift, bit.rshift

local function sort(a, low, high)
  if low >= high then
    return
  end
  local pivot = tonumber(a[arshift(low + high, 1)])
  local i, j = low, high
  while i <= j do
    while tonumber(a[i]) < pivot do
      i = i + 1
    end
    while tonumber(a[j]) > pivot do
      j = j - 1
    end
    if i <= j then
      local kept = a[i]
      a[i] = a[j]
      a[j] = kept
      i = i + 1
      j = j - 1
    end
  end
  sort(a, low, j)
  sort(a, i, high)
end

return function(a, n)
  local seed = 42ULL
  for i = 0, n - 1 do
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL
    a[i] = rshift(seed, 33)
  end
  sort(a, 0, n - 1)
end
