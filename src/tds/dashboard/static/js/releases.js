// A file that is too large is refused before it is sent: a server that hangs up in the midst can tell a browser nothing.
const image = document.getElementById("image");
image?.addEventListener("change", () => {
  const tooLarge = image.files.length > 0 && image.files[0].size > Number(image.dataset.most);
  image.setCustomValidity(tooLarge ? image.dataset.refusal : "");
  image.reportValidity();
});
