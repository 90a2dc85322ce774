"""The names of the pretrained trunks; reading them needs no Keras."""

TITLES = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite1": "EfficientNet-Lite1",
    "efficientnet_lite2": "EfficientNet-Lite2",
    "mobilenet_v2": "MobileNetV2",
}
