"""What Esri asks of those who use its imagery, said once for the command line and the pages."""

IMAGERY_NAME = "ArcGIS World Imagery"
POWERED_BY_ESRI = "Powered by Esri"
ESRI_SOURCES = "Esri, Vantor, Earthstar Geographics, and the GIS User Community"
CONSENT = "Esri's terms do not allow automated fetching of ArcGIS Online imagery without Esri's consent"
STATEMENT = "you state that you have that consent or a licence that covers it, and that its attribution is shown with every image"
INSTEAD = "your own orthophotos or open Sentinel-2 imagery"
