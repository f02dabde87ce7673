-- Conway's game of life, from cells made first, in a frame of dead ones; how many live after some generations.
local rshift = require("bit").rshift

return function(cells, following, width, height, generations)
  local stride, seed = width + 2, 42ULL
  for y = 1, height do
    for x = 1, width do
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL
      cells[y * stride + x] = rshift(seed, 63)
    end
  end
  for _ = 1, generations do
    for y = 1, height do
      local row, above, below = y * stride, (y - 1) * stride, (y + 1) * stride
      for x = 1, width do
        local around = cells[above + x - 1] + cells[above + x] + cells[above + x + 1] + cells[row + x - 1]
          + cells[row + x + 1] + cells[below + x - 1] + cells[below + x] + cells[below + x + 1]
        local born = 0
        if around == 3 or (around == 2 and cells[row + x] == 1) then
          born = 1
        end
        following[row + x] = born
      end
    end
    cells, following = following, cells
  end
  local alive = 0
  for y = 1, height do
    for x = 1, width do
      alive = alive + cells[y * stride + x]
    end
  end
  return alive
end
