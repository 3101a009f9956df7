"""Copy metrics: the score and the metrics that its paper criticises, on the same models, image by image.

All read the same model: each metric the nearest of `DRAWS` generations from an image's own caption, cropped to the
content; the keys one outpainting. Where another metric is better, the finding says so.
"""
