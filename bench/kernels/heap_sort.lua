-- Sorts n numbers, which it makes first and are below 2^53, by a heap.
local rshift = require("bit").rshift

local function sift(a, root, n)
  local value = tonumber(a[root])
  while true do
    local child = 2 * root + 1
    if child >= n then
      break
    end
    if child + 1 < n and tonumber(a[child + 1]) > tonumber(a[child]) then
      child = child + 1
    end
    if tonumber(a[child]) <= value then
      break
    end
    a[root] = a[child]
    root = child
  end
  a[root] = value
end

return function(a, n)
  local seed = 42ULL
  for i = 0, n - 1 do
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL
    a[i] = rshift(seed, 33)
  end
  for i = math.floor(n / 2) - 1, 0, -1 do
    sift(a, i, n)
  end
  for last = n - 1, 1, -1 do
    local value = a[last]
    a[last] = a[0]
    a[0] = value
    sift(a, 0, last)
  end
end
