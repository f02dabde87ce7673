-- For each point of a picture, how many steps it stays in the Mandelbrot set, at most limit.
return function(picture, width, height, limit)
  for y = 0, height - 1 do
    local ci = y * 2.0 / height - 1.0
    for x = 0, width - 1 do
      local cr = x * 3.0 / width - 2.0
      local zr, zi, n = 0.0, 0.0, 0
      while n < limit do
        local rr, ii = zr * zr, zi * zi
        if rr + ii > 4.0 then
          break
        end
        zi = 2.0 * zr * zi + ci
        zr = rr - ii + cr
        n = n + 1
      end
      picture[y * width + x] = n
    end
  end
end
