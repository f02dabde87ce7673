-- The sum of the places at which m keys belong into n sorted numbers, all below 2^53.
local arshift = require("bit").arshift

return function(sorted, n, keys, m)
  local sum = 0
  for i = 0, m - 1 do
    local key, low, high = tonumber(keys[i]), 0, n
    while low < high do
      local middle = arshift(low + high, 1)
      if tonumber(sorted[middle]) < key then
        low = middle + 1
      else
        high = middle
      end
    end
    sum = sum + low
  end
  return sum
end
